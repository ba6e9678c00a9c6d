"""Workflows as the API reads them: documents from the store, their graphs from a cache.

A version never changes, so its graph is parsed once.
"""

from collections import OrderedDict

from headrace.core.authoring import dialects
from headrace.core.definition import Definition
from headrace.core.run import Run
from headrace.ports.stores import DefinitionStore, WorkflowVersion

_CACHED = 512


class Definitions:
    def __init__(self, store: DefinitionStore, open_runs_default: bool) -> None:
        self._store = store
        self._open_runs_default = open_runs_default
        self._graphs: OrderedDict[tuple[str, int], Definition] = OrderedDict()
        self._open: tuple[int, frozenset[str]] | None = None

    async def latest(self, identifier: str) -> WorkflowVersion | None:
        """The newest version of a workflow that is not deleted."""
        version = await self._store.latest(identifier)
        return None if version is None or version.deleted else version

    def graph(self, version: WorkflowVersion) -> Definition:
        """The graph of a version. What was saved once is read as well as may be, even if rules have changed since."""
        key = (version.identifier, version.version)
        graph = self._graphs.get(key)
        if graph is None:
            parsed = dialects.parse(version.document)
            graph = parsed.definition or parsed.draft or Definition(version.identifier, {}, ())
            self._graphs[key] = graph
            if len(self._graphs) > _CACHED:
                self._graphs.popitem(last=False)
        else:
            self._graphs.move_to_end(key)
        return graph

    async def graph_of(self, run: Run) -> Definition | None:
        """The graph that a run follows; None if its version is gone."""
        graph = self._graphs.get((run.workflow, run.version))
        if graph is not None:
            return graph
        version = await self._store.version(run.workflow, run.version)
        return None if version is None else self.graph(version)

    def has_open_runs(self, version: WorkflowVersion) -> bool:
        """Whether anybody may view the workflow's runs: what it says, or the default when it does not say."""
        value = version.document.get("allowAnyoneToViewRuns")
        return value if isinstance(value, bool) else self._open_runs_default

    async def open_workflows(self) -> frozenset[str]:
        """The workflows, deleted ones included, whose runs anybody may view."""
        revision = await self._store.revision()
        if self._open is None or self._open[0] != revision:
            versions = await self._store.all(include_deleted=True)
            opened = frozenset(version.identifier for version in versions if self.has_open_runs(version))
            self._open = (revision, opened)
        return self._open[1]
