"""A run as text: what a reader must be able to see."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from headrace_cli import snapshot, timeline, watching
from headrace_cli.session import Session
from tests.cli.samples import EVENT, at, node_run, run


def printed(document: dict[str, Any], **options: Any) -> list[str]:
    return [line.plain for line in timeline.lines(snapshot.read(document), timeline.Options(**options))]


def test_a_finished_run_shows_states_times_branches_attempts_and_outputs_aligned() -> None:
    document = run(
        [
            node_run("became-gold", "EVENT_TRIGGER", 0, 0),
            node_run("in-production", "CONDITION", 0, 1, outlet="production"),
            node_run(
                "raise-limits", "WEBHOOK", 1, 450, attempt=2,
                failedAttempts=[{"attempt": 1, "at": at(12), "error": "answered 503"}],
                nodeRunLogs=[{"level": "WARN", "message": "attempt 1: 503", "createdAt": at(12)}],
            ),
        ],
        end=450,
        variables={"outputs": {"became-gold": EVENT, "raise-limits": {"requestsPerSecond": 5000}}},
    )  # fmt: skip

    assert printed(document, width=90) == [
        "✓ SUCCESS  tier-change v3  wfr_k3J9sQ0aZx81LmNp  450 ms",
        "  ✓ SUCCESS   became-gold       0 ms",
        "      = UPDATE service/billing tier silver → gold",
        "  ✓ SUCCESS   in-production     1 ms  → production",
        "  ✓ SUCCESS   raise-limits    449 ms  attempt 2",
        "      ↻ attempt 1 failed at +12 ms: answered 503",
        '      = {"requestsPerSecond": 5000}',
        "      │ +12 ms WARN attempt 1: 503",
    ]


def test_wide_terminals_get_bars_that_show_when_things_ran_and_where_an_attempt_failed() -> None:
    failed = [{"attempt": 1, "at": at(50), "error": "no"}]
    document = run(
        [node_run("a", "WEBHOOK", 0, 50), node_run("b", "WEBHOOK", 50, 100, attempt=2, failedAttempts=failed)], end=100
    )

    lines = printed(document, width=120)

    assert "▕━━━━━━━━━━━━━           ▏" in lines[1]
    assert "▕            ×━━━━━━━━━━━▏" in lines[2]


def test_a_failed_run_says_why_beneath_the_node_that_failed() -> None:
    document = run([node_run("call", "WEBHOOK", 0, 30, "FAILED", error="answered 500")], end=30, result="FAILED")

    lines = printed(document, width=90)

    assert lines[0].startswith("✗ FAILED  tier-change")
    assert lines[1:] == ["  ✗ FAILED    call    30 ms", "      ✗ answered 500"]


def test_work_that_waits_says_for_what() -> None:
    document = run(
        [
            node_run("report", "WEBHOOK", 0, None, blockedOn={"kind": "report", "until": None}),
            node_run("approve", "INPUT", 0, None, blockedOn={"kind": "person", "until": None}),
            node_run(
                "again", "WEBHOOK", 0, None, attempt=1, blockedOn={"kind": "retry", "until": at(900)},
                failedAttempts=[{"attempt": 1, "at": at(400), "error": "answered 503"}],
            ),
            node_run("call", "WEBHOOK", 0, None),
        ]
    )  # fmt: skip

    lines = printed(document, width=90)

    assert lines[1] == "  ◷ WAITING   report    400 ms  waits for a report"
    assert lines[2] == "  ◷ WAITING   approve   400 ms  waits for a person"
    assert lines[3] == "  ↻ RETRYING  again     400 ms"
    assert lines[5] == "      ↻ attempt 2 at +900 ms"
    assert lines[6] == "  ● RUNNING   call      400 ms"


def test_child_runs_are_counted_and_named_and_what_was_carried_over_says_so() -> None:
    children = {
        "total": 40, "started": 6, "succeeded": 3, "failed": 1,
        "running": [{"index": 4, "runIdentifier": "wfr_4"}, {"index": 5, "runIdentifier": "wfr_5"}],
        "failures": [{"index": 2, "runIdentifier": "wfr_2", "message": "Node do: answered 500"}],
    }  # fmt: skip
    blocked = {"kind": "children", "until": None}
    document = run(
        [
            node_run("first", "WEBHOOK", 0, 30, carried=True),
            node_run("each", "FOR_EACH", 30, None, children=children, blockedOn=blocked),
        ],
        rerunOf="wfr_old",
    )

    lines = printed(document, width=100)

    assert lines[0].endswith("repeats wfr_old")
    assert lines[1].endswith("30 ms  carried over")
    assert lines[2].endswith("waits for child runs")
    assert lines[3:] == [
        "      ↳ 4 of 40 child runs over, 1 failed; at work: wfr_4, wfr_5",
        "      ✗ wfr_2 (item 2): Node do: answered 500",
    ]


def test_a_condition_that_chose_nothing_says_so() -> None:
    assert printed(run([node_run("c", "CONDITION", 0, 0)], end=0), width=90)[1].endswith("→ no branch matched")


def test_a_long_log_is_cut_and_says_where_the_rest_is() -> None:
    logs = [{"level": "INFO", "message": f"line {number}", "createdAt": at(number)} for number in range(8)]

    lines = printed(run([node_run("a", "WEBHOOK", 0, 9, nodeRunLogs=logs)], end=9), width=90)

    assert lines[2] == "      │ 3 earlier lines: headrace logs wfnr_a000000000000000"
    assert lines[3] == "      │ +3 ms INFO line 3"


def test_no_line_is_wider_than_the_terminal() -> None:
    document = run([node_run("a", "WEBHOOK", 0, 9, error="x" * 500, result="FAILED")], end=9, result="FAILED")

    assert max(len(line) for line in printed(document, width=60)) == 60


def test_what_the_server_leaves_out_does_no_harm() -> None:
    assert printed({"identifier": "wfr_1", "status": "IN_PROGRESS"}, width=90) == ["● RUNNING    wfr_1"]


def test_on_a_terminal_the_run_is_drawn_again_and_ends_with_its_whole_timeline() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=10, color_system=None)
    session = Session()
    session.__dict__["out"] = console
    names = [f"step-{number}" for number in range(20)]
    going = run([node_run(name, "WEBHOOK", 0, 5) for name in names[:-1]] + [node_run(names[-1], "WEBHOOK", 5, None)])
    over = run([node_run(name, "WEBHOOK", 0, 5) for name in names], end=10)

    document = watching.draw(session, iter([going, over]))

    assert document is over
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert "lines above" in written, "what does not fit is said, not lost"
    assert all(name in written[written.rindex("✓ SUCCESS  tier-change") :] for name in names)


def test_what_is_at_work_grows_older_between_two_states() -> None:
    document = run([node_run("call", "WEBHOOK", 0, None)])

    (line,) = printed(document, width=90, now=snapshot.instant(at(1500)))[1:]

    assert line == "  ● RUNNING   call    1.5 s"
