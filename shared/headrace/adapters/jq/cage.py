"""The cage: foreign JQ runs in killable child processes, and whatever a program does costs only that program.

Theory of operation. A child answers a whole request in one frame; that is fast, and says nothing about who was at work
when a child dies. So a request that fails is asked again *carefully* of a fresh child, with a frame and a deadline for
each program: the first one without an answer is the culprit. A culprit that ran out of time gets its Failure at once.
One whose child crashed is tried once more, since the child may have been killed from outside; the second crash is its
own. Programs have no effects, so asking again changes nothing. Two kills in a row put a program into quarantine.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

import orjson

from headrace.adapters.jq.child import Child, ChildDiedError
from headrace.adapters.jq.limits import Limits
from headrace.adapters.jq.quarantine import Quarantine
from headrace.core.expression import EMPTY, Answer, Evaluation, Failure, FailureKind
from headrace.ports.evaluator import EvaluatorUnavailableError

_KINDS = frozenset(get_args(FailureKind))
_PROGRAMS_IN_A_REQUEST = 256
_BYTES_IN_A_REQUEST = 4 << 20
_SECONDS_TO_COMPILE = 0.02


@dataclass(slots=True)
class _Task:
    """One program on one document, on its way to an answer."""

    place: tuple[int, int]
    program: str
    document: bytes
    answer: Answer = None
    crashed: bool = False


class JqCage:
    """An Evaluator over a small pool of processes. The first evaluation starts the first process."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or Limits()
        self._quarantine = Quarantine(self._limits.quarantine_seconds, clock)
        self._free = asyncio.Semaphore(self._limits.children)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the children, for metrics and tests."""
        return [child.pid for child in (*self._idle, *self._busy)]

    async def evaluate(self, evaluations: Sequence[Evaluation]) -> list[list[Answer]]:
        """See the port. Who finds no free child waits: a busy cage slows its callers down."""
        answers: list[list[Answer]] = [[None] * len(evaluation.programs) for evaluation in evaluations]
        tasks = []
        for row, evaluation in enumerate(evaluations):
            for column, program in enumerate(evaluation.programs):
                refusal = self._refuse(program, evaluation.input)
                if refusal:
                    answers[row][column] = refusal
                else:
                    tasks.append(_Task((row, column), program, evaluation.input))
        await self._answer(tasks, "run")
        for task in tasks:
            row, column = task.place
            answers[row][column] = task.answer
        return answers

    async def check(self, programs: Sequence[str]) -> list[Failure | None]:
        """See the port."""
        refusals = [self._refuse(program, b"") for program in programs]
        tasks = [_Task((0, at), programs[at], b"") for at, refusal in enumerate(refusals) if not refusal]
        await self._answer(tasks, "check")
        for task in tasks:
            refusals[task.place[1]] = task.answer if isinstance(task.answer, Failure) else None
        return refusals

    async def close(self) -> None:
        """Ends every child, leaving no zombie. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        for child in (*self._idle, *self._busy):
            self._dispose(child)
        self._idle.clear()
        for _ in range(self._limits.children):
            await self._free.acquire()  # whoever waits for a child, or still holds one, finds the cage closed
        for _ in range(self._limits.children):
            self._free.release()
        while self._ending:
            await asyncio.gather(*self._ending)

    def _refuse(self, program: str, document: bytes) -> Failure | None:
        limits = self._limits
        if len(program) > limits.program_bytes:
            return Failure("compile", f"The expression is longer than {limits.program_bytes // 1024} KiB.")
        if "\0" in program:
            return Failure("compile", "The expression contains a NUL character.")
        try:
            program.encode()
        except UnicodeEncodeError:
            return Failure("compile", "The expression contains half of a surrogate pair.")
        if len(document) > limits.input_bytes:
            return Failure("memory", f"The input is larger than {limits.input_bytes // 1024} KiB.")
        return self._quarantine.refuse(program)

    async def _answer(self, tasks: list[_Task], mode: Literal["run", "check"]) -> None:
        for batch in _batches(tasks):
            batch = self._still_allowed(batch)
            if not batch:
                continue
            try:
                await self._ask_at_once(batch, mode)
            except ChildDiedError as died:
                alone = len(batch) == 1
                if not (alone and self._blame(batch[0], died)):
                    await self._ask_one_by_one(batch, mode)

    async def _ask_at_once(self, tasks: list[_Task], mode: str) -> None:
        allowed = self._limits.deadline_seconds + _SECONDS_TO_COMPILE * len(tasks)
        async with self._child() as child:
            child.evaluations += len(tasks)
            child.send(_request(tasks, mode, careful=False))
            lines = (await child.receive(allowed)).split(b"\n")
        if len(lines) != len(tasks):
            raise ChildDiedError("crash")
        for task, line in zip(tasks, lines, strict=True):
            task.answer = _read_answer(line)

    async def _ask_one_by_one(self, tasks: list[_Task], mode: str) -> None:
        pending = tasks
        while pending:
            done = 0
            try:
                async with self._child() as child:
                    child.evaluations += len(pending)
                    child.send(_request(pending, mode, careful=True))
                    for task in pending:
                        task.answer = _read_answer(await child.receive(self._limits.deadline_seconds))
                        done += 1
            except ChildDiedError as died:
                done += self._blame(pending[done], died)
            pending = self._still_allowed(pending[done:])

    def _still_allowed(self, tasks: list[_Task]) -> list[_Task]:
        """The tasks that may run: one hostile program on a thousand documents is not given a thousand deadlines."""
        allowed = []
        for task in tasks:
            refusal = self._quarantine.refuse(task.program)
            if refusal is None:
                allowed.append(task)
            else:
                task.answer = refusal
        return allowed

    def _blame(self, task: _Task, died: ChildDiedError) -> bool:
        """Answers for the program at which a child died, unless it deserves another try."""
        if self._closed:
            raise EvaluatorUnavailableError("the evaluator is closed")
        if died.reason != "time" and not task.crashed:
            task.crashed = True
            return False
        milliseconds = round(self._limits.deadline_seconds * 1000)
        messages: dict[str, str] = {
            "time": f"The expression took longer than {milliseconds} ms.",
            "memory": f"The expression needs more than {self._limits.memory_bytes >> 20} MiB of memory.",
            "crash": "The expression crashed its evaluator.",
        }
        failure = Failure(died.reason, messages[died.reason])
        task.answer = failure
        self._quarantine.note(task.program, failure)
        return True

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[Child]:
        """A child for exclusive use. It goes back to the pool only if the use went well."""
        async with self._free:
            child = await self._take()
            self._busy.add(child)
            try:
                yield child
            except BaseException:
                self._dispose(child)
                raise
            finally:
                self._busy.discard(child)
            if self._closed or child.evaluations >= self._limits.recycle_after:
                self._dispose(child)
            else:
                self._idle.append(child)

    async def _take(self) -> Child:
        if self._closed:
            raise EvaluatorUnavailableError("the evaluator is closed")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._dispose(child)
        child = await Child.start(self._limits)
        if self._closed:
            self._dispose(child)
            raise EvaluatorUnavailableError("the evaluator is closed")
        return child

    def _dispose(self, child: Child) -> None:
        """Kills the child now and reaps it in the background."""
        child.kill()
        ending = asyncio.get_running_loop().create_task(child.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


def _batches(tasks: list[_Task]) -> Iterator[list[_Task]]:
    batch: list[_Task] = []
    size = 0
    for task in tasks:
        if batch and (len(batch) == _PROGRAMS_IN_A_REQUEST or size > _BYTES_IN_A_REQUEST):
            yield batch
            batch, size = [], 0
        if not batch or batch[-1].document is not task.document:
            size += len(task.document)
        size += len(task.program)
        batch.append(task)
    if batch:
        yield batch


def _request(tasks: list[_Task], mode: str, careful: bool) -> bytes:
    """The frame that worker.py describes. Programs on the same document travel, and run, together."""
    jobs = []
    documents = []
    for _, group in groupby(tasks, key=lambda task: (task.place[0], id(task.document))):
        members = list(group)
        jobs.append([len(members[0].document), [task.program for task in members]])
        documents.append(members[0].document)
    header = orjson.dumps({"mode": mode, "careful": careful, "jobs": jobs})
    return b"".join([len(header).to_bytes(4, "big"), header, *documents])


def _read_answer(line: bytes) -> Answer:
    if line.startswith(b"!"):
        kind, _, message = line[1:].decode("utf-8", "replace").partition(" ")
        return Failure(_kind(kind), message)
    try:
        answer = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Failure("output", "The result is nested too deeply, or has a number beyond the range of a double.")
    if isinstance(answer, list):
        return answer[0] if answer else EMPTY
    error = answer["e"]
    return Failure("runtime", error if isinstance(error, str) else orjson.dumps(error).decode())


def _kind(word: str) -> FailureKind:
    return word if word in _KINDS else "crash"  # type: ignore[return-value]
