"""Plans of workflow versions, compiled once and kept while they are in use."""

from collections import OrderedDict

from headrace.core.authoring import dialects
from headrace.core.errors import HeadraceError
from headrace.core.plan import Plan, compile_plan
from headrace.ports.stores import DefinitionStore, WorkflowVersion


class MissingVersionError(HeadraceError):
    """A run names a workflow version that the definition store does not hold, or that can no longer be parsed."""


class Plans:
    """A bounded cache of plans. Versions are immutable, so a plan never goes stale."""

    def __init__(self, definitions: DefinitionStore, capacity: int = 2_000) -> None:
        self._definitions = definitions
        self._capacity = capacity
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()

    async def get(self, workflow: str, version: int) -> Plan:
        """The plan of a version. Raises MissingVersionError, UnavailableError."""
        key = (workflow, version)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = await self._compile(workflow, version)
            if len(self._plans) > self._capacity:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan

    async def latest(self, workflow: str) -> WorkflowVersion | None:
        """The newest version of a workflow, deleted or not; asked anew each time. Raises UnavailableError."""
        return await self._definitions.latest(workflow)

    async def _compile(self, workflow: str, version: int) -> Plan:
        stored = await self._definitions.version(workflow, version)
        if stored is None:
            raise MissingVersionError(f"workflow {workflow} has no version {version}")
        parsed = dialects.parse(stored.document)
        if parsed.definition is None:
            problems = "; ".join(problem.message for problem in parsed.problems[:3])
            raise MissingVersionError(f"workflow {workflow} version {version} cannot be read any more: {problems}")
        return compile_plan(parsed.definition, version)
