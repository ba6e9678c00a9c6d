"""Which version a child run follows: the latest one at the time it is created, looked up once."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.core import parents
from headrace.core.commands import LATEST, Command, ReportChild, StartRun
from headrace.runtime.plans import MissingVersionError, Plans


class ChildStarts:
    """Fills in the versions that commands leave open, for the commands of one batch."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._known: dict[str, int | str] = {}

    async def resolve(self, commands: Sequence[Command]) -> tuple[list[Command], list[ReportChild]]:
        """The commands of a run that does not exist yet with their versions, and what its parent is told when there is
        nothing to start; then no command is left. Raises UnavailableError."""
        resolved: list[Command] = []
        for command in commands:
            if isinstance(command, StartRun) and command.version == LATEST:
                found = await self._latest(command.workflow)
                if isinstance(found, str):
                    return [], list(parents.refusal(command, found))
                command = replace(command, version=found)
            resolved.append(command)
        return resolved, []

    async def _latest(self, workflow: str) -> int | str:
        """The version, or in words why there is none to start."""
        if workflow not in self._known:
            self._known[workflow] = await self._look_up(workflow)
        return self._known[workflow]

    async def _look_up(self, workflow: str) -> int | str:
        latest = await self._plans.latest(workflow)
        if latest is None:
            return f'There is no workflow "{workflow}".'
        if latest.deleted:
            return f'The workflow "{workflow}" was deleted.'
        try:
            await self._plans.get(workflow, latest.version)
        except MissingVersionError as error:
            return f"{error}."
        return latest.version
