"""Writing to the catalog, for whoever does: check, save with the event in the outbox, publish, mark.

An entity is one document: the entity, its timers and its unpublished events change in one compare-and-set, as a run
does (docs/delivery.md). What is saved will be published: by the writer at once, or by the sweep
(`headrace.runtime.catalog_sweep`) if the log did not answer or the process died. Ids of events are derived from the
revision that they made, so that publishing one again makes no second event.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from headrace.contracts import strict_json
from headrace.contracts.entity_change import encode_entity_change
from headrace.contracts.envelope import UnencodableMessageError
from headrace.contracts.topics import TopicNames
from headrace.core.authoring.findings import Findings
from headrace.core.catalog import change, timers, writes
from headrace.core.catalog.blueprint import Blueprint, read_blueprint
from headrace.core.catalog.change import Author
from headrace.core.catalog.entity import Entity, key_of
from headrace.core.errors import HeadraceError, Problem
from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation
from headrace.ports.catalog import CatalogStore, StoredEntity
from headrace.ports.clock import Clock
from headrace.ports.errors import AlreadyExistsError, NotFoundError, UnavailableError, VersionConflictError
from headrace.ports.log import Log, Message

SOURCE = "urn:headrace:catalog"
"""The CloudEvents source of the catalog's events."""

Mode = Literal["create", "upsert", "upsert-merge", "replace", "merge"]
"""What a write does to an entity that is there, and to one that is not. `create` refuses one that is there, `replace`
and `merge` one that is not; the upserts create it, and replace or merge it when it is there."""

_ROUNDS = 20
_MOST_UNSENT = 50
"""So many unpublished events an entity may gather while the log is away; further writes have to wait."""

_log = structlog.get_logger("headrace.catalog")


class InvalidEntityError(HeadraceError):
    """The entity cannot be saved. `problems` says everything that is wrong with it, by pointers into the document."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        super().__init__(problems[0].message + more)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class WriteOrigin:
    """Who writes. For a run that does: its `cause` and its workflow, so that the loop guard knows how deep it is."""

    author: Author
    cause: Causation | None = None
    workflow: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to. An entity that says already what it was told is not `changed`, and makes no event."""

    stored: StoredEntity
    changed: bool
    created: bool = False


class CatalogWriter:
    """Makes, changes and deletes entities, each with its event."""

    def __init__(self, catalog: CatalogStore, log: Log, clock: Clock, topics: TopicNames) -> None:
        self._catalog = catalog
        self._log = log
        self._clock = clock
        self._topics = topics

    async def write(
        self,
        blueprint: str,
        document: Json,
        mode: Mode,
        origin: WriteOrigin,
        *,
        identifier: str | None = None,
        default_identifier: str | None = None,
        expected_revs: frozenset[int] | None = None,
    ) -> Written:
        """Write what the document says of an entity (docs/catalog.md, "Writing").

        `identifier` is the one that it must have; `default_identifier` is taken when there is no other. Give one that
        is derived from its cause: then a repeated write is the same write.
        Raises NotFoundError for a blueprint or entity that is not there, AlreadyExistsError, VersionConflictError when
        the entity is at none of `expected_revs`, InvalidEntityError, UnavailableError: it may be written or not, and
        to repeat is safe.
        """
        named: str | None = None
        for _ in range(_ROUNDS):
            found = await self._catalog.blueprint(blueprint)
            if found is None:
                raise NotFoundError(f'there is no blueprint "{blueprint}"')
            schema = read_blueprint(blueprint, found.document)
            findings = Findings()
            given = writes.read_given(document, schema, identifier, findings)
            named = given.identifier or identifier or default_identifier
            if named is None:
                if not findings.has_errors:
                    findings.error("/identifier", "missing-field", "The entity has no identifier.", "Add it.")
                raise InvalidEntityError(findings.result())
            stored = await self._find(key_of(blueprint, named))
            before = stored.entity if stored is not None and not stored.deleted else None
            _check_mode(mode, before, stored, f'"{named}" of blueprint "{blueprint}"', expected_revs)
            merging = mode in ("merge", "upsert-merge")
            at = self._clock.now()
            entity = writes.result_of(schema, before, given, named, merging, origin.author.id, at)
            await self._check(schema, before, entity, findings)
            written = await self._save(schema, stored, before, entity, origin, at)
            if written is not None:
                return written
        raise _contended(blueprint, named or "")

    async def delete(
        self, blueprint: str, identifier: str, origin: WriteOrigin, *, expected_revs: frozenset[int] | None = None
    ) -> StoredEntity:
        """Delete an entity; what it was. Entities that relate to it stay as they are. Raises as `write` does."""
        for _ in range(_ROUNDS):
            stored = await self._find(key_of(blueprint, identifier))
            before = stored.entity if stored is not None and not stored.deleted else None
            _check_mode("replace", before, stored, f'"{identifier}" of blueprint "{blueprint}"', expected_revs)
            assert stored is not None, "what is not there was refused"
            at = self._clock.now()
            event = change.change_event(before, None, origin.author, at)
            message = self._message(event, change.change_id(stored.entity, stored.rev + 1), at, origin)
            entity = replace(stored.entity, updated_at=at, updated_by=origin.author.id)
            gone = StoredEntity(entity, stored.rev + 1, (*_unsent(stored), message), at, deleted=True)
            if (await self._catalog.save([gone]))[0]:
                await self._publish(gone)
                return stored
        raise _contended(blueprint, identifier)

    async def _find(self, key: str) -> StoredEntity | None:
        return (await self._catalog.load([key])).get(key)

    async def _check(self, schema: Blueprint, before: Entity | None, entity: Entity, findings: Findings) -> None:
        """Raises InvalidEntityError with everything that is wrong."""
        writes.check_result(schema, entity, findings)
        targets = writes.new_targets(schema, before, entity)
        existing = await self._catalog.load(list(targets.values())) if targets else {}
        for where, key in targets.items():
            if key not in existing or existing[key].deleted:
                message = f'There is no entity "{key.partition("/")[2]}" of blueprint "{key.partition("/")[0]}".'
                findings.error(where, "unknown-entity", message, "Create it first.")
        if findings.has_errors:
            raise InvalidEntityError(findings.result())

    async def _save(
        self,
        schema: Blueprint,
        stored: StoredEntity | None,
        before: Entity | None,
        entity: Entity,
        origin: WriteOrigin,
        at: int,
    ) -> Written | None:
        """Save the entity and publish its events; None when somebody else changed it first."""
        old_timers = stored.timers if stored is not None else timers.Timers()
        set_ = timers.set_timers(schema, entity, old_timers)
        if stored is not None and before is not None and set_ == old_timers and writes.changes_nothing(before, entity):
            return Written(stored, changed=False)
        rev = 0 if stored is None else stored.rev + 1
        # what is past already fires with the write, and as its consequence: the loop guard must see through it
        due, left = timers.fire(set_, at)
        event = change.change_event(before, entity, origin.author, at)
        messages = [self._message(event, change.change_id(entity, rev), at, origin)]
        for name, due_at in due.items():
            fired = change.timer_event(entity, name, at)
            messages.append(self._message(fired, change.timer_id(entity, name, due_at), at, origin))
        new = StoredEntity(entity, rev, (*_unsent(stored), *messages), at, left)
        if not (await self._catalog.save([new]))[0]:
            return None
        await self._publish(new)
        return Written(new, changed=True, created=before is None)

    def _message(self, event: JsonObject, id_: str, at: int, origin: WriteOrigin) -> Message:
        """The event's record. Raises InvalidEntityError for one that nobody could read."""
        try:
            message = encode_entity_change(
                event, id_, SOURCE, at, self._topics, origin.cause, origin.workflow, origin.traceparent
            )
            strict_json.parse(message.value or b"")
        except (strict_json.BadJson, UnencodableMessageError) as error:
            text = f"The event of this change, which holds the entity before and after, could not be read: {error}"
            raise InvalidEntityError([Problem("", "too-large", text, "Let the entity hold less.")]) from None
        return message

    async def _publish(self, stored: StoredEntity) -> None:
        """Publish what was saved. The write stands whatever comes of this: the sweep publishes it later."""
        try:
            await self._log.publish(stored.outbox)
            await self._catalog.mark_sent([(stored.entity.key, stored.rev)])
        except UnavailableError as error:
            _log.warning("entity saved; its event is published later", entity=stored.entity.key, error=str(error))


def timer_messages(stored: StoredEntity, due: Iterable[tuple[str, int]], now: int, topics: TopicNames) -> list[Message]:
    """The records of an entity's timers that fire because their time has come: nobody's doing but time's."""
    return [
        encode_entity_change(
            change.timer_event(stored.entity, name, now), change.timer_id(stored.entity, name, at), SOURCE, now, topics
        )
        for name, at in due
    ]


def _check_mode(
    mode: Mode,
    before: Entity | None,
    stored: StoredEntity | None,
    which: str,
    expected_revs: frozenset[int] | None,
) -> None:
    if before is not None and mode == "create":
        raise AlreadyExistsError(f"there is an entity {which} already")
    if before is None and mode in ("replace", "merge"):
        raise NotFoundError(f"there is no entity {which}")
    if expected_revs is not None and (before is None or stored is None or stored.rev not in expected_revs):
        raise VersionConflictError(f"the entity {which} has changed since it was read")


def _unsent(stored: StoredEntity | None) -> tuple[Message, ...]:
    """The events that earlier writes left behind; they go out before the new one. Raises UnavailableError."""
    if stored is None:
        return ()
    if len(stored.outbox) >= _MOST_UNSENT:
        raise UnavailableError(
            f"{len(stored.outbox)} events of the entity {stored.entity.key} wait for the log: try again when it answers"
        )
    return stored.outbox


def _contended(blueprint: str, identifier: str) -> UnavailableError:
    return UnavailableError(
        f'entity "{identifier}" of "{blueprint}" is being changed by others all the time: try again'
    )
