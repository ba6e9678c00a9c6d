"""The port for foreign JQ: programs that only a killable process may run (docs/expressions.md)."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.expression import Answer, Evaluation, Failure
from headrace.ports.errors import UnavailableError


class EvaluatorUnavailableError(UnavailableError):
    """Raised when no evaluator process can be started or the evaluator is closed: a fault of ours, try again later."""


class Evaluator(Protocol):
    """Runs any JQ on any document, within limits, whatever the program does."""

    async def evaluate(self, evaluations: Sequence[Evaluation]) -> list[list[Answer]]:
        """One list of answers for each evaluation, one answer for each of its programs: the first output.

        A program that is wrong, endless or greedy gets a Failure, and costs no other program its answer.
        Raises EvaluatorUnavailableError, and nothing that depends on the programs or documents.
        """

    async def check(self, programs: Sequence[str]) -> list[Failure | None]:
        """For each program why it does not compile, or None. Raises like `evaluate`."""

    async def close(self) -> None:
        """Ends every process. Evaluations under way get EvaluatorUnavailableError."""
