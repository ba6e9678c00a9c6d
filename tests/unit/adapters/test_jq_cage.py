"""The cage: any program gets an answer or a clear Failure within its limits, and harms nobody else."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.core.expression import EMPTY, Answer, Evaluation, Failure
from headrace.core.json import Json
from headrace.ports.evaluator import Evaluator, EvaluatorUnavailableError

SECRET = "canary-7f3a9d"
PATIENT = Limits(deadline_seconds=5)  # for programs that must not be late on a busy machine


@pytest.fixture(autouse=True)
def secret_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOKEN", SECRET)


@pytest.fixture
async def cage() -> AsyncIterator[JqCage]:
    cage = JqCage(PATIENT)
    yield cage
    await cage.close()


@pytest.fixture
async def strict_cage() -> AsyncIterator[JqCage]:
    cage = JqCage(Limits(deadline_seconds=0.4, quarantine_seconds=0))
    yield cage
    await cage.close()


async def ask(cage: Evaluator, program: str, document: Json = None) -> Answer:
    [[answer]] = await cage.evaluate([Evaluation((program,), json.dumps(document).encode())])
    return answer


def kind(answer: object) -> str:
    return answer.kind if isinstance(answer, Failure) else "value"


async def test_answers_keep_their_types_and_numbers(cage: JqCage) -> None:
    document: Json = {"big": 12345678901234567890, "nul": "a\0b", "é": [1.5, None, True]}

    assert await ask(cage, ". as $x | $x", document) == document
    assert await ask(cage, "empty, 1 | select(. > 5)", document) is EMPTY
    assert await ask(cage, "range(5; 10)", document) == 5
    assert await ask(cage, "1 # a comment", document) == 1
    assert await ask(cage, "label $out | 1, break $out") == 1


async def test_only_the_first_output_is_computed(cage: JqCage) -> None:
    assert await ask(cage, '1, error("never")') == 1
    assert await ask(cage, "repeat(7)") == 7


async def test_many_programs_on_many_documents_are_answered_in_place(cage: JqCage) -> None:
    programs = (".a as $x | $x", "1 < 2 < 3", ".a.b as $x | $x", "empty", "first(.a, 2)")
    documents: list[Json] = [{"a": 1}, {"a": None}, {"a": "x"}]

    answers = await cage.evaluate([Evaluation(programs, json.dumps(document).encode()) for document in documents])

    assert [[answer if kind(answer) == "value" else kind(answer) for answer in row] for row in answers] == [
        [1, "compile", "runtime", EMPTY, 1],
        [None, "compile", None, EMPTY, None],
        ["x", "compile", "runtime", EMPTY, "x"],
    ]


async def test_nothing_asked_is_nothing_answered(cage: JqCage) -> None:
    assert await cage.evaluate([]) == []
    assert await cage.evaluate([Evaluation((), b"{}")]) == [[]]
    assert await cage.check([]) == []
    assert cage.pids == []


async def test_compile_errors_give_the_column_in_the_users_text(cage: JqCage) -> None:
    good, bad, second_line = await cage.check(['.a | test("x")', "1 < 2 < 3", ".a |\n | .b"])

    assert good is None
    assert bad == Failure("compile", "syntax error, unexpected '<', at column 7")
    assert second_line is not None
    assert "line 2, column 2" in second_line.message


HOSTILE: list[tuple[str, Any]] = [
    # what reads the process, files or other inputs: harmless, or refused
    ("env", {}),
    ("env.HEADRACE_TOKEN", None),
    ("$ENV", {}),
    ("$ENV.HEADRACE_TOKEN", None),
    ("[paths(..)] | length, env", 0),
    ('"\\(env)"', "{}"),
    ("def f: env; f", {}),
    ("input", "runtime"),
    ("[inputs]", "runtime"),
    ("halt", "runtime"),
    ("halt_error", "runtime"),
    ('"x" | halt_error(1)', "runtime"),
    ("debug", None),
    ('debug("x")', None),
    ("stderr", None),
    ("input_filename", None),
    ("input_line_number", 0),
    ("get_search_list", []),
    ("get_jq_origin", None),
    ("get_prog_origin", None),
    ('"a" | modulemeta', "runtime"),
    ("$__prog_args", "compile"),
    ('import "a" as $x; $x', "compile"),
    ('import "/etc/passwd" as $x {search: "/"}; $x', "compile"),
    ('include "x"; 1', "compile"),
    ("def f: 1;", "compile"),
    # tricks with the wrapping
    (") | env | (", "compile"),
    ("1) | env | (1", "compile"),
    ('1)] | ["forged"] | [(1', "compile"),
    ("1 # )", 1),
    ("1 # \\\n + 1", (1, 2)),
    ("", "compile"),
    ("# only a comment", "compile"),
    ("1\0| env", "compile"),
    ('"\ud800"', "compile"),
    ("￾￾.", "compile"),
    ("." * 100, "compile"),
    ("(" * 20_000, "compile"),
    ("1" + " + 1" * 3000, 3001),
    ('"' + "x" * (1 << 20) + '"', "compile"),
    # what never ends, or needs too much
    ("def f: f; f", "time"),
    ("def f: [f]; f", ("time", "memory")),
    ("last(range(1e12))", "time"),
    ("[repeat(1)]", ("time", "memory")),
    ('[limit(1e9; repeat("a"))]', ("time", "memory")),
    ("[range(1e9)]", ("time", "memory")),
    ('"a" * 1e9', ("memory", "runtime")),
    ("[.] | .[1e9] = 1", ("time", "memory", "runtime")),
    ('[range(300000) | "xxxxxxxx"]', ("output", "time")),
    ("reduce range(100000) as $i (null; [.])", ("output", "crash", "time")),
    ("reduce range(3000) as $i (null; [.]) | [recurse] | length", 3001),
    ('("a" * 5000 + "b") | test("(a+)+$")', (True, False, "time", "runtime")),
    ('"%%%" | @base64d', "runtime"),
    ('[splits("a")]', "runtime"),
    ('1 | ltrimstr("a")', (1, "runtime")),
    ("error(null)", "runtime"),
    ("error({a: [1]})", "runtime"),
    ("1e1000", (1.7976931348623157e308, "output")),
    ("nan", None),
    ('"\\u0000"', "\0"),
]


@pytest.mark.parametrize(("program", "expected"), HOSTILE, ids=[ascii(program[:30]) for program, _ in HOSTILE])
async def test_a_hostile_program_gets_a_harmless_value_or_a_clear_failure(
    strict_cage: JqCage, program: str, expected: Any
) -> None:
    answer = await ask(strict_cage, program)

    outcome = answer.kind if isinstance(answer, Failure) else answer
    allowed = expected if isinstance(expected, tuple) else (expected,)
    assert any(type(outcome) is type(one) and outcome == one for one in allowed), answer
    assert SECRET not in repr(answer)
    if isinstance(answer, Failure):
        assert answer.message
        assert "headrace" not in answer.message
    assert await ask(strict_cage, "1 as $x | $x + 1") == 2


async def test_whether_a_file_exists_cannot_be_told(cage: JqCage, tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text(f'"{SECRET}"')
    search = json.dumps({"search": str(tmp_path)})

    there, missing = await cage.check([f'import "{name}" as $x {search}; $x' for name in ("there", "missing")])

    assert there == missing
    assert there is not None
    assert "import" in there.message


async def test_input_and_output_have_limits() -> None:
    cage = JqCage(Limits(deadline_seconds=5, input_bytes=1000, output_bytes=1000))
    try:
        assert kind(await ask(cage, "1 as $x | $x", "x" * 1000)) == "memory"
        assert kind(await ask(cage, '"é" * 600')) == "output"
        both = await cage.evaluate([Evaluation(('"x" * 2000', "1 as $x | $x"), b"null")])
    finally:
        await cage.close()

    assert [kind(both[0][0]), both[0][1]] == ["output", 1]


async def test_a_broken_document_fails_its_programs_only(cage: JqCage) -> None:
    broken, empty, sound = await cage.evaluate(
        [Evaluation(("now", "now"), b"{nope"), Evaluation(("now",), b""), Evaluation((". as $x | $x",), b"1")]
    )

    assert [kind(answer) for answer in (*broken, *empty)] == ["runtime", "runtime", "runtime"]
    assert sound == [1]


async def test_an_endless_program_costs_its_neighbours_nothing_but_time(strict_cage: JqCage) -> None:
    programs = (". as $x | $x + 1", "def f: f; f", ". as $x | $x + 2", '"a" * 1e9', ". as $x | $x + 3")

    [answers] = await strict_cage.evaluate([Evaluation(programs, b"1")])

    assert [answers[0], kind(answers[1]), answers[2], kind(answers[3]), answers[4]] == [2, "time", 3, "memory", 4]


async def test_healthy_evaluations_go_on_beside_a_hostile_one() -> None:
    cage = JqCage(Limits(deadline_seconds=1, quarantine_seconds=0))
    try:
        hostile = asyncio.ensure_future(ask(cage, "def f: f; f"))
        healthy = 0
        while not hostile.done():
            assert await ask(cage, ". as $x | $x * 2", healthy) == healthy * 2
            healthy += 1
    finally:
        await cage.close()

    assert kind(hostile.result()) == "time"
    assert healthy > 20


async def test_a_child_killed_from_outside_costs_one_retry_and_no_answer(cage: JqCage) -> None:
    evaluations = [Evaluation(tuple(f". as $x | $x + {at}" for at in range(20)), str(row).encode()) for row in range(5)]
    expected = [[row + at for at in range(20)] for row in range(5)]
    await cage.evaluate(evaluations)

    for _ in range(5):
        answers = asyncio.ensure_future(cage.evaluate(evaluations))
        await asyncio.sleep(0)  # the request is on its way
        for pid in cage.pids:
            os.kill(pid, signal.SIGKILL)
        assert await answers == expected


async def test_a_child_killed_while_idle_is_replaced(cage: JqCage) -> None:
    await ask(cage, "now")
    for pid in cage.pids:
        os.kill(pid, signal.SIGKILL)

    assert await ask(cage, "1 as $x | $x") == 1


async def test_a_program_that_kills_twice_is_refused_for_a_while() -> None:
    now = 0.0
    cage = JqCage(Limits(deadline_seconds=0.2), clock=lambda: now)
    try:
        first, second = await ask(cage, "def f: f; f"), await ask(cage, "def f: f; f")
        pids = cage.pids
        refused = await ask(cage, "def f: f; f")
        assert cage.pids == pids  # nobody was killed
        now = 61.0
        again = await ask(cage, "def f: f; f")
    finally:
        await cage.close()

    assert first == second == again == Failure("time", "The expression took longer than 200 ms.")
    assert isinstance(refused, Failure)
    assert "refused for another 60 s" in refused.message


async def test_a_hostile_program_on_many_documents_is_given_two_deadlines_not_one_each() -> None:
    """A thousand events at a trigger with an endless condition would otherwise hold up every other trigger."""
    cage = JqCage(Limits(deadline_seconds=0.2))
    evaluations = [Evaluation(("def f: f; f", ". as $x | $x + 1"), str(at).encode()) for at in range(50)]
    try:
        answers = await cage.evaluate(evaluations)
    finally:
        await cage.close()

    assert [healthy for _, healthy in answers] == list(range(1, 51))
    assert {kind(hostile) for hostile, _ in answers} == {"time"}
    refused = [hostile for hostile, _ in answers if isinstance(hostile, Failure) and "refused for" in hostile.message]
    assert len(refused) >= 48


async def test_children_are_recycled() -> None:
    cage = JqCage(Limits(deadline_seconds=5, children=1, recycle_after=3))
    try:
        pids = set()
        for at in range(7):
            assert await ask(cage, ". as $x | $x", at) == at
            pids.update(cage.pids)
    finally:
        await cage.close()

    assert len(pids) >= 2


async def test_an_idle_cage_has_no_process_and_a_busy_one_no_more_than_its_pool(cage: JqCage) -> None:
    assert cage.pids == []

    await asyncio.gather(*(ask(cage, "[range(1000)] | add") for _ in range(20)))

    assert 1 <= len(cage.pids) <= 2


async def test_a_cancelled_evaluation_leaves_the_cage_sound(cage: JqCage) -> None:
    await ask(cage, "now")
    for _ in range(3):
        endless = asyncio.ensure_future(ask(cage, "def f: f; f"))
        await asyncio.sleep(0)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless

    assert await ask(cage, "1 as $x | $x") == 1


async def test_closing_ends_every_process_and_refuses_further_work() -> None:
    cage = JqCage(PATIENT)
    await asyncio.gather(ask(cage, "now"), ask(cage, "now"))
    pids = cage.pids
    endless = asyncio.ensure_future(ask(cage, "def f: f; f"))
    await asyncio.sleep(0)

    await cage.close()
    await cage.close()

    with pytest.raises(EvaluatorUnavailableError):
        await endless
    with pytest.raises(EvaluatorUnavailableError):
        await ask(cage, "now")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
