"""The embedded definition store: the DefinitionStore port in memory, written through to the journal if there is one."""

from dataclasses import replace
from typing import Final

import orjson

from headrace.adapters.embedded.journal import Journal
from headrace.core.json import JsonObject
from headrace.ports.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from headrace.ports.stores import WorkflowVersion

_SAVE: Final = (
    "INSERT OR REPLACE INTO definitions "
    "(n, identifier, version, document, created_by, created_at, updated_by, updated_at, deleted) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LOAD: Final = (
    "SELECT n, identifier, version, document, created_by, created_at, updated_by, updated_at, deleted "
    "FROM definitions ORDER BY n"
)
_COUNT: Final = "INSERT OR REPLACE INTO counters (name, value) VALUES ('definitions', ?)"


class EmbeddedDefinitionStore:
    """Workflows and all their versions in memory.

    Documents are copied when they come in. Those that go out are shared: like all JSON in the engine they are never
    mutated. `created_by` and `created_at` are those of the workflow: later versions repeat them, until it is created
    anew after a deletion. The version that was the latest at a deletion keeps its mark, by whom and when, for good.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._versions: dict[str, list[WorkflowVersion]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._revision = 0
        if journal is not None:
            self._load(journal)

    async def create(self, identifier: str, document: JsonObject, by: str, at: int) -> WorkflowVersion:
        """See the port."""
        latest = self._latest(identifier)
        if latest is not None and not latest.deleted:
            raise AlreadyExistsError(f"workflow {identifier!r} exists already (version {latest.version})")
        number = 1 if latest is None else latest.version + 1
        return self._save(WorkflowVersion(identifier, number, document, by, at, by, at))

    async def update(
        self, identifier: str, document: JsonObject, by: str, at: int, expected_version: int | None = None
    ) -> WorkflowVersion:
        """See the port. A deleted workflow is not found."""
        latest = self._existing(identifier)
        if expected_version is not None and expected_version != latest.version:
            raise VersionConflictError(
                f"workflow {identifier!r} is at version {latest.version}, not {expected_version}: read it again"
            )
        created = (latest.created_by, latest.created_at)
        return self._save(WorkflowVersion(identifier, latest.version + 1, document, *created, by, at))

    async def delete(self, identifier: str, by: str, at: int) -> WorkflowVersion:
        """See the port. A deleted workflow is not found."""
        return self._save(replace(self._existing(identifier), updated_by=by, updated_at=at, deleted=True))

    async def latest(self, identifier: str) -> WorkflowVersion | None:
        """See the port."""
        return self._latest(identifier)

    async def version(self, identifier: str, version: int) -> WorkflowVersion | None:
        """See the port."""
        versions = self._versions.get(identifier, [])
        return versions[version - 1] if 1 <= version <= len(versions) else None

    async def versions(self, identifier: str) -> list[WorkflowVersion]:
        """See the port."""
        return self._versions.get(identifier, [])[::-1]

    async def all(self, include_deleted: bool = False) -> list[WorkflowVersion]:
        """See the port."""
        newest = (versions[-1] for _, versions in sorted(self._versions.items()))
        return [version for version in newest if include_deleted or not version.deleted]

    async def revision(self) -> int:
        """See the port."""
        return self._revision

    def _latest(self, identifier: str) -> WorkflowVersion | None:
        versions = self._versions.get(identifier)
        return versions[-1] if versions else None

    def _existing(self, identifier: str) -> WorkflowVersion:
        latest = self._latest(identifier)
        if latest is None or latest.deleted:
            raise NotFoundError(f"there is no workflow {identifier!r}")
        return latest

    def _save(self, version: WorkflowVersion) -> WorkflowVersion:
        document = orjson.dumps(version.document)
        version = replace(version, document=orjson.loads(document))
        key = (version.identifier, version.version)
        n = self._numbers.get(key, len(self._numbers) + 1)
        if self._journal is not None:
            row = (
                n, version.identifier, version.version, document, version.created_by, version.created_at,
                version.updated_by, version.updated_at, int(version.deleted),
            )  # fmt: skip
            self._journal.write((_SAVE, [row]), (_COUNT, [(self._revision + 1,)]))
        self._numbers[key] = n
        self._place(version)
        self._revision += 1
        return version

    def _place(self, version: WorkflowVersion) -> None:
        versions = self._versions.setdefault(version.identifier, [])
        versions[version.version - 1 :] = [version]

    def _load(self, journal: Journal) -> None:
        for n, identifier, number, document, by, at, updated_by, updated_at, deleted in journal.read(_LOAD):
            self._numbers[(identifier, number)] = n
            value = orjson.loads(document)
            self._place(WorkflowVersion(identifier, number, value, by, at, updated_by, updated_at, bool(deleted)))
        for (value,) in journal.read("SELECT value FROM counters WHERE name = 'definitions'"):
            self._revision = value
