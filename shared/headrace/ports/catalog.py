"""The catalog's store: blueprints and entities (docs/catalog.md)."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.catalog.entity import Entity
from headrace.core.catalog.timers import Timers
from headrace.core.json import JsonObject
from headrace.core.value_class import value_class
from headrace.ports.log import Message


@value_class
class StoredBlueprint:
    """A blueprint as it lies in the store. `rev` grows by one with every save; instants are ms since the epoch."""

    identifier: str
    document: JsonObject
    rev: int
    created_by: str
    created_at: int
    updated_by: str
    updated_at: int


@value_class
class StoredEntity:
    """An entity as it lies in the store.

    `rev` is the fence of compare-and-set: it grows by one with every save. `outbox` holds events of this and earlier
    saves that are not known to be published; `saved_at` says when it was filled (ms). An entity that is `deleted` stays
    for a while, without timers: as long as its last event is unpublished, and so that one that is made anew under its
    name counts on.
    """

    entity: Entity
    rev: int
    outbox: tuple[Message, ...] = ()
    saved_at: int = 0
    timers: Timers = Timers()
    deleted: bool = False


class CatalogStore(Protocol):
    """Blueprints and entities. All reads are majority reads; one entity is the unit of atomicity.

    Entities are named by their keys (`headrace.core.catalog.entity.key_of`), and listed in the order of these.
    """

    async def blueprints(self) -> list[StoredBlueprint]:
        """All blueprints, by identifier. Raises UnavailableError."""
        ...

    async def blueprint(self, identifier: str) -> StoredBlueprint | None:
        """Raises UnavailableError."""
        ...

    async def save_blueprint(self, write: StoredBlueprint) -> bool:
        """Write it if the store holds its `rev - 1` (`rev` 0: if it holds none); False: somebody was first.

        Raises UnavailableError: the outcome is unknown.
        """
        ...

    async def delete_blueprint(self, identifier: str, rev: int) -> bool:
        """Remove it if it has this `rev`; False: it has another, or is gone. Raises UnavailableError, as saving."""
        ...

    async def load(self, keys: Sequence[str]) -> dict[str, StoredEntity]:
        """The stored entities by key, deleted ones too; unknown keys are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[StoredEntity]) -> list[bool]:
        """Write each entity if the store holds its `rev - 1` (`rev` 0: if it holds none). One answer per write.

        False means that another writer was first: load it and decide again. Raises UnavailableError: the outcome of
        every write is unknown. Raises TooLargeError: nothing was written.
        """
        ...

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """Empty the outbox of each (key, rev) that still has that rev. Losing this only repeats a publish."""
        ...

    async def unsent(self, saved_before: int, limit: int) -> list[StoredEntity]:
        """Entities whose outbox has waited since before that instant, oldest first; deleted ones too."""
        ...

    async def due(self, now: int, limit: int) -> list[StoredEntity]:
        """Entities with a timer due at `now`, the earliest first."""
        ...

    async def page(self, blueprint: str | None, after: str | None, limit: int) -> list[StoredEntity]:
        """The next entities after a key, in the order of keys; of one blueprint, or of all. No deleted ones."""
        ...
