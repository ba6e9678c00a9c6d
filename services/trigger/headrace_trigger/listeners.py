"""The trigger index of the live workflows, kept up to date with the definition store."""

import structlog

from headrace.core.authoring import dialects
from headrace.core.matching import Listener, TriggerIndex, listeners_of
from headrace.ports.stores import DefinitionStore, WorkflowVersion

_log = structlog.get_logger("headrace.trigger")


class Listeners:
    """Asks the store once a batch whether anything changed, and reads only what did."""

    def __init__(self, definitions: DefinitionStore) -> None:
        self._definitions = definitions
        self._revision = -1
        self._known: dict[tuple[str, int], list[Listener]] = {}
        self._index = TriggerIndex(())

    async def index(self) -> TriggerIndex:
        """The index of what is live now. Raises UnavailableError."""
        revision = await self._definitions.revision()
        if revision != self._revision:
            versions = await self._definitions.all()
            self._known = {
                (stored.identifier, stored.version): self._known.get((stored.identifier, stored.version))
                or read_listeners(stored)
                for stored in versions
            }
            self._index = TriggerIndex(listener for listener in self.all() if listener.config.published)
            self._revision = revision
        return self._index

    def all(self) -> list[Listener]:
        """Every event trigger by workflow, those that are not published too."""
        return [listener for listeners in self._known.values() for listener in listeners]


def read_listeners(stored: WorkflowVersion) -> list[Listener]:
    """The event triggers of a stored version; a version that cannot be read any more hears nothing, and says so."""
    parsed = dialects.parse(stored.document)
    if parsed.definition is None:
        _log.error("workflow cannot be read", workflow=stored.identifier, version=stored.version)
        return []
    return listeners_of(parsed.definition, stored.version, stored.created_at, every=True)
