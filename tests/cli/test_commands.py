"""What commands print, what they ask the server, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.cli.fake_api import FakeApi, error, stream
from tests.cli.samples import EVENT, at, node_run, run

RUN = "wfr_k3J9sQ0aZx81LmNp"


@pytest.fixture
def api(shell: Shell) -> FakeApi:
    fake = FakeApi()
    shell.answered_by(fake)
    return fake


def workflow(version: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "identifier": "tier-change",
        "title": "A service became gold",
        "version": version,
        "updatedAt": at(0),
        "updatedBy": "u_7",
        "nodes": [
            {
                "identifier": "became-gold",
                "config": {
                    "type": "EVENT_TRIGGER",
                    "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"},
                },
            }
        ],
    } | more


# Lists


def test_workflows_are_listed_with_version_and_triggers(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/workflows", (200, {"ok": True, "workflows": [workflow(3)]}))

    ended = shell("workflows")

    assert ended.code == 0
    assert re.split("  +", ended.out.splitlines()[1].strip()) == [
        "tier-change", "v3", "ENTITY_UPDATED service", "1", "2026-11-23 09:00:00", "A service became gold",
    ]  # fmt: skip


def test_an_empty_list_says_how_to_fill_it(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/workflows", (200, {"ok": True, "workflows": []}))

    assert "headrace apply" in shell("workflows").out


def test_one_workflow_is_shown_as_json_and_versions_as_a_list(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/workflows/tier-change", (200, {"ok": True, "workflow": workflow()}))
    api.on("GET", "/v1/workflows/tier-change/versions", (200, {"ok": True, "versions": [workflow(2), workflow(1)]}))

    assert json.loads(shell("workflows", "tier-change").out)["identifier"] == "tier-change"
    assert [line.split()[0] for line in shell("workflows", "tier-change", "--versions").out.splitlines()] == [
        "VERSION", "v2", "v1",
    ]  # fmt: skip


def test_runs_are_listed_with_the_node_that_failed_or_is_at_work(shell: Shell, api: FakeApi) -> None:
    failed = run([node_run("call", "WEBHOOK", 0, 9, "FAILED", error="answered 500")], end=9, result="FAILED")
    going = run([node_run("wait", "WEBHOOK", 0, None, attempt=2)])
    api.on("GET", "/v1/workflows/runs", (200, {"ok": True, "workflowRuns": [failed, going]}))

    ended = shell("runs", "--workflow", "tier-change", "--result", "FAILED", "--status", "COMPLETED", "--limit", "5")

    assert ended.code == 0
    assert "✗ FAILED" in ended.out
    assert "call: answered 500" in ended.out
    assert "wait RUNNING (2)" in ended.out
    assert sorted(api.requests[0].url.params.multi_items()) == [
        ("limit", "5"), ("results", "FAILED"), ("statuses", "COMPLETED"), ("workflowIdentifiers", "tier-change"),
    ]  # fmt: skip


# Starting and following


def test_run_sends_inputs_trigger_and_key_and_prints_the_run_id_alone(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/v1/workflows/restart/runs", (201, {"ok": True, "workflowRun": run([])}))

    ended = shell("run", "restart", "-i", "n=5", "--trigger", "ask", "--idempotency-key", "k1")

    assert (ended.code, ended.out) == (0, RUN + "\n")
    assert api.bodies("POST") == [{"inputs": {"n": 5}, "nodeIdentifier": "ask"}]
    assert api.requests[0].headers["idempotency-key"] == "k1"


@pytest.mark.parametrize(("result", "code"), [("SUCCESS", 0), ("FAILED", 1), ("CANCELLED", 7)])
def test_a_run_that_is_waited_for_gives_its_result_as_exit_code(
    shell: Shell, api: FakeApi, result: str, code: int
) -> None:
    over = run([node_run("call", "WEBHOOK", 0, 5, result)], end=5, result=result)
    api.on("POST", "/v1/workflows/restart/runs", (201, {"ok": True, "workflowRun": run([])}))
    api.on("GET", f"/v1/workflows/runs/{RUN}/stream", (200, stream(run([node_run("call", "WEBHOOK", 0, None)]), over)))

    ended = shell("run", "restart", "--wait")

    assert ended.code == code
    assert [line.split()[2] for line in ended.out.splitlines()[:2]] == [
        "●",
        "✓" if code == 0 else "✗" if code == 1 else "⊘",
    ]
    assert result in ended.out


def test_a_run_that_takes_too_long_is_left_alone(shell: Shell, api: FakeApi) -> None:
    api.on("GET", f"/v1/workflows/runs/{RUN}/stream", (200, stream(run([]))))

    ended = shell("show", RUN, "-f", "--timeout", "0.1")

    assert ended.code == 8
    assert f"error: {RUN} is not over after 0.1 s. It goes on: headrace show {RUN}\n" in ended.err


def test_following_in_json_prints_one_document_the_finished_run(shell: Shell, api: FakeApi) -> None:
    api.on("GET", f"/v1/workflows/runs/{RUN}/stream", (200, stream(run([]), run([], end=5))))

    ended = shell("show", RUN, "-f", "-o", "json")

    assert (ended.code, json.loads(ended.out)["result"]) == (0, "SUCCESS")


def test_show_without_following_succeeds_whatever_the_run_did(shell: Shell, api: FakeApi) -> None:
    api.on("GET", f"/v1/workflows/runs/{RUN}", (200, {"ok": True, "workflowRun": run([], end=5, result="FAILED")}))

    ended = shell("show", RUN)

    assert ended.code == 0
    assert ended.out.startswith("✗ FAILED  tier-change v3")


def test_inputs_that_do_not_fit_are_listed_by_pointer(shell: Shell, api: FakeApi) -> None:
    wrong = {"pointer": "/inputs/n", "code": "wrong-type", "message": "must be a number", "severity": "error"}
    api.on("POST", "/v1/workflows/restart/runs", (422, error("invalid_inputs", "The inputs do not fit.", [wrong])))

    ended = shell("run", "restart", "-i", "n=x")

    assert ended.code == 1
    assert ended.err == ("error: The inputs do not fit.\n  /inputs/n: error[wrong-type]: must be a number\n")


def test_cancel_asks_for_force_only_when_told(shell: Shell, api: FakeApi) -> None:
    api.on("POST", f"/v1/workflows/runs/{RUN}/cancel", (200, {"ok": True}))

    shell("cancel", RUN)
    ended = shell("cancel", RUN, "--force")

    assert ended.code == 0
    assert [dict(request.url.params) for request in api.requests] == [{}, {"force": "true"}]


# Logs


def log(milliseconds: int, message: str, level: str = "INFO") -> dict[str, Any]:
    return {"level": level, "message": message, "createdAt": at(milliseconds), "node": {"identifier": "call"}}


def test_rerun_says_where_to_begin_and_prints_the_new_run_alone(shell: Shell, api: FakeApi) -> None:
    api.on("POST", f"/v1/workflows/runs/{RUN}/rerun", (201, {"workflowRun": {"identifier": "wfr_new"}}))

    everything = shell("rerun", RUN, "--latest")
    shell("rerun", RUN, "--from", "failed")
    shell("rerun", RUN, "--from", "deploy", "-i", "n=5")

    assert everything.out == "wfr_new\n"
    assert api.bodies("POST") == [
        {"from": "start", "version": "latest"},
        {"from": "failed", "version": "same"},
        {"from": {"node": "deploy"}, "version": "same", "inputs": {"n": 5}},
    ]


def test_respond_sends_the_button_with_its_inputs(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/v1/workflows/nodes/runs/wfnr_1/responses", (201, {"ok": True}))

    ended = shell("respond", "wfnr_1", "approve", "-i", "reason=fine")

    assert (ended.code, ended.out) == (0, "wfnr_1: approve.\n")
    assert api.bodies("POST") == [{"button": "approve", "inputs": {"reason": "fine"}}]


def test_logs_name_time_level_and_node(shell: Shell, api: FakeApi) -> None:
    api.on(
        "GET", f"/v1/workflows/runs/{RUN}/logs", (200, {"ok": True, "logs": [log(7, "hello"), log(8, "uh", "WARN")]})
    )

    assert shell("logs", RUN).out == "09:00:00.007 INFO  call hello\n09:00:00.008 WARN  call uh\n"


def test_logs_of_a_node_run_come_from_its_own_route(shell: Shell, api: FakeApi) -> None:
    api.on(
        "GET", "/v1/workflows/nodes/runs/wfnr_1/logs", (200, {"ok": True, "logs": [{"level": "INFO", "message": "x"}]})
    )

    assert shell("logs", "wfnr_1").out == "- INFO  x\n"


def test_followed_logs_print_each_line_once_even_when_old_lines_are_dropped(shell: Shell, api: FakeApi) -> None:
    def state(entries: list[dict[str, Any]], dropped: int, end: int | None = None) -> dict[str, Any]:
        return run([node_run("call", "WEBHOOK", 0, end, nodeRunLogs=entries, logsDropped=dropped)], end=end)

    states = [
        state([log(1, "one")], 0),
        state([log(1, "one"), log(2, "two")], 0),
        state([log(2, "two"), log(3, "three")], 1, end=9),
    ]
    api.on("GET", f"/v1/workflows/runs/{RUN}/stream", (200, stream(*states)))

    assert [line.split()[-1] for line in shell("logs", RUN, "-f").out.splitlines()] == ["one", "two", "three"]
    as_json = [json.loads(line) for line in shell("logs", RUN, "-f", "-o", "json").out.splitlines()]
    assert [line["message"] for line in as_json] == ["one", "two", "three"]
    assert as_json[0]["node"] == "call"


# Events


FILTERED = {
    "workflow": "tier-change", "version": 3, "trigger": "became-gold", "verdict": "filtered", "runId": None,
    "reason": "it gave false",
    "clauses": [
        {"expression": ".diff.before != null", "answer": "true", "holds": True, "values": []},
        {"expression": ".diff.after.properties.tier == \"gold\"", "answer": "false", "holds": False,
         "values": [{"path": ".diff.after.properties.tier", "value": "silver"}]},
    ],
}  # fmt: skip
MATCHED = FILTERED | {"verdict": "matched", "runId": RUN, "reason": "every expression gave true", "clauses": []}


def explained(*verdicts: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "explanation": {"eventId": "evt_1", "event": EVENT, "verdicts": list(verdicts)}}


def test_explain_names_the_clause_that_said_no_and_the_values_it_saw(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/events/evt_1/explain", (200, explained(FILTERED)))

    lines = shell("explain", "evt_1").out.splitlines()

    assert lines[0] == "UPDATE service/billing  tier silver → gold  evt_1"
    assert lines[2].split(maxsplit=3)[:3] == ["tier-change", "v3", "became-gold"]
    assert '✗ does not fire  .diff.after.properties.tier == "gold"  (tier was "silver")' in lines[2]
    assert ".diff.before" not in lines[2]


def test_explain_puts_what_fired_first_and_what_had_nothing_to_do_with_it_last(shell: Shell, api: FakeApi) -> None:
    other = FILTERED | {"workflow": "x", "verdict": "other-blueprint", "reason": "it listens to y", "clauses": []}
    api.on("GET", "/v1/events/evt_1/explain", (200, explained(other, FILTERED, MATCHED)))

    out = shell("explain", "evt_1").out

    assert out.index(f"run {RUN}") < out.index("✗ does not fire") < out.index("it listens to y")


def test_sent_events_are_waited_for_until_they_are_judged(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps([EVENT, EVENT]))
    api.on("POST", "/v1/events", (202, {"ok": True, "eventId": "evt_1"}), (202, {"ok": True, "eventId": "evt_2"}))
    unknown = (404, error("not_found", "not read yet"))
    api.on("GET", "/v1/events/evt_1/explain", unknown, unknown, (200, explained(MATCHED)))
    api.on("GET", "/v1/events/evt_2/explain", (200, explained(FILTERED)))

    ended = shell("events", "send", str(file))

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "evt_1  UPDATE service/billing  tier silver → gold",
        f"  started tier-change {RUN}",
        "evt_2  UPDATE service/billing  tier silver → gold",
        "  started nothing: headrace explain evt_1",
    ]
    assert api.bodies("POST") == [EVENT, EVENT]


def test_sending_with_follow_fails_when_a_run_fails(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/v1/events", (202, {"ok": True, "eventId": "evt_1"}))
    api.on("GET", "/v1/events/evt_1/explain", (200, explained(MATCHED)))
    api.on("GET", f"/v1/workflows/runs/{RUN}/stream", (200, stream(run([], end=5, result="FAILED"))))

    assert shell("events", "send", "-", "--follow", stdin=json.dumps(EVENT)).code == 1
    ended = shell("events", "send", "-", "-f", "-o", "json", stdin=json.dumps(EVENT))

    assert ended.code == 1
    assert json.loads(ended.out) == [{"eventId": "evt_1", "runIds": [RUN], "judged": True}]


def test_events_can_be_tried_without_being_published(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/v1/events/explain", (200, {"ok": True, "triggers": [FILTERED]}))

    ended = shell("events", "try", "-", stdin=json.dumps(EVENT))

    assert (ended.code, len(api.requests)) == (0, 1)
    assert "✗ does not fire" in ended.out


# Apply


DOCUMENT = '{\n  "identifier": "tier-change",\n  "nodes": []\n}\n'


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "flow.json"
    path.write_text(DOCUMENT)
    return str(path)


def saved(version: int) -> tuple[int, dict[str, Any]]:
    return 200, {"ok": True, "workflow": workflow(version), "warnings": []}


def test_apply_says_created_updated_or_unchanged(shell: Shell, api: FakeApi, file: str) -> None:
    api.on("POST", "/v1/workflows", saved(1))
    assert shell("apply", "-f", file).out == "✓ tier-change created\n"

    api.on("GET", "/v1/workflows/tier-change", (200, {"ok": True, "workflow": workflow(2)}))
    api.on("PUT", "/v1/workflows/tier-change", saved(3), saved(2))
    assert shell("apply", "-f", file).out == "✓ tier-change updated to v3\n"
    assert shell("apply", "-f", file).out == "· tier-change unchanged (v2)\n"

    assert {request.content.decode() for request in api.requests if request.method != "GET"} == {DOCUMENT}


def test_apply_survives_that_somebody_else_creates_it_first(shell: Shell, api: FakeApi, file: str) -> None:
    api.on(
        "GET", "/v1/workflows/tier-change", (404, error("not_found", "no")), (200, {"ok": True, "workflow": workflow()})
    )
    api.on("POST", "/v1/workflows", (409, error("workflow_exists", "There is one already.")))
    api.on("PUT", "/v1/workflows/tier-change", saved(2))

    assert shell("apply", "-f", file).out == "✓ tier-change updated to v2\n"


def test_apply_prints_the_server_s_problems_with_places_in_the_file(shell: Shell, api: FakeApi, file: str) -> None:
    problem = {
        "pointer": "/nodes", "line": 3, "column": 12, "code": "no-trigger", "message": "It has no trigger.",
        "hint": "Add one.", "severity": "error",
    }  # fmt: skip
    api.on("POST", "/v1/workflows", (422, error("invalid_workflow", "It cannot be saved.", [problem])))

    ended = shell("apply", "-f", file)

    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"{file}:3:12: error[no-trigger]: It has no trigger.",
        '    3 |   "nodes": []',
        "      |            ^",
        "       = hint: Add one.",
        f"✗ {file}: It cannot be saved.",
    ]


def test_apply_goes_on_with_the_other_files_and_reports_them_all_in_json(
    shell: Shell, api: FakeApi, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"identifier": name}))
    api.on("POST", "/v1/workflows", (422, error("invalid_workflow", "No.")), saved(1))

    ended = shell("apply", "-f", str(tmp_path), "-o", "json")

    assert ended.code == 1
    assert [entry["change"] for entry in json.loads(ended.out)] == ["rejected", "created"]


# Errors and exit codes


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((0, httpx.ConnectError("[Errno 111] Connection refused")), 3, "Cannot reach Headrace at http://127.0.0.1:8080"),
        ((503, error("unavailable", "The log does not answer.")), 3, "The log does not answer."),
        ((401, error("unauthorized", "Send a token.")), 4, "HEADRACE_CLIENT_ID"),
        ((403, error("forbidden", "You may not.")), 4, "You may not."),
        ((404, error("not_found", "There is no run.")), 5, "There is no run."),
        ((409, error("run_completed", "The run is over.")), 6, "The run is over."),
        ((422, error("invalid_parameter", "No such id.")), 1, "No such id."),
        ((500, error("internal_error", "A bug.")), 1, "A bug."),
        ((200, "<html>"), 1, "does not speak Headrace's API"),
        ((502, "<html>"), 3, "answered HTTP 502"),
    ],
)  # fmt: skip
def test_expected_errors_have_an_exit_code_a_sentence_and_no_traceback(
    shell: Shell, api: FakeApi, answer: tuple[int, Any], code: int, said: str
) -> None:
    api.on("GET", f"/v1/workflows/runs/{RUN}", answer)

    ended = shell("show", RUN)

    assert ended.code == code
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.startswith("error: ")


def test_an_unreachable_server_says_how_to_start_it(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/workflows", (0, httpx.ConnectError("Connection refused")))

    assert "headrace dev" in shell("workflows").err


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["show"], ["runs", "--limit", "0"], ["workflows", "--versions"], ["run", "w", "-i", "x"],
     ["logs", "wfnr_1", "-f"], ["events", "send", "missing.json"], ["dev", "--data", "d", "--memory"]],
)  # fmt: skip
def test_wrong_usage_ends_with_2(shell: Shell, api: FakeApi, arguments: list[str]) -> None:
    ended = shell(*arguments)

    assert ended.code == 2
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_json_answers_parse_for_every_command_that_reads(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/v1/workflows", (200, {"ok": True, "workflows": [workflow()]}))
    api.on("GET", "/v1/workflows/runs", (200, {"ok": True, "workflowRuns": [run([])]}))
    api.on("GET", f"/v1/workflows/runs/{RUN}", (200, {"ok": True, "workflowRun": run([])}))
    api.on("GET", f"/v1/workflows/runs/{RUN}/logs", (200, {"ok": True, "logs": [log(1, "x")]}))
    api.on("GET", "/v1/events/evt_1/explain", (200, explained(FILTERED)))

    for arguments in (["workflows"], ["runs"], ["show", RUN], ["logs", RUN], ["explain", "evt_1"]):
        assert json.loads(shell(*arguments, "-o", "json").out), arguments


def test_explain_of_a_run_shows_its_branches_and_what_they_saw(shell: Shell, api: FakeApi) -> None:
    part = {"expression": ".a", "answer": "1", "parts": []}
    clause = {
        "expression": ".a > 2", "answer": "false", "holds": False, "values": [{"path": ".a", "value": 1}],
        "parts": [part, {"expression": ".b", "answer": None, "parts": []}],
    }  # fmt: skip
    branches = [
        {"identifier": "big", "title": "big", "expression": ".a > 2", "taken": False, "clause": clause},
        {"identifier": "rest", "title": "rest", "expression": "true", "taken": True, "clause": {"answer": "true"}},
        {"identifier": "never", "title": "never", "expression": "1", "taken": False, "clause": None},
    ]
    decision = {"node": "route", "reason": "the branch rest was the first to give true", "branches": branches}
    api.on("GET", f"/v1/workflows/runs/{RUN}/decisions", (200, {"decisions": [decision]}), (200, {"decisions": []}))

    shown, empty = shell("explain", RUN), shell("explain", RUN)

    assert shown.out.splitlines() == [
        "route  the branch rest was the first to give true",
        "  ✗ big: .a > 2  → false",
        "  .a  → 1",
        "  .b  → not asked",
        "      .a was 1",
        "  ✓ rest: true  → true",
        "  · never: 1  → not asked",
    ]
    assert empty.out == "The run came to no condition.\n"


def test_explain_of_an_event_can_ask_for_one_workflow(shell: Shell, api: FakeApi) -> None:
    verdict = {
        "workflow": "w", "version": 1, "trigger": "t", "verdict": "unpublished",
        "reason": "the trigger is not published",
    }  # fmt: skip
    answer = {"explanation": {"eventId": "evt_1", "event": {}, "verdicts": [verdict]}}
    api.on("GET", "/v1/events/evt_1/explain", (200, answer))

    ended = shell("explain", "evt_1", "--workflow", "w")

    assert "not published" in ended.out
    assert dict(api.requests[0].url.params) == {"workflow": "w"}


def test_explain_says_whom_a_run_waits_for_beside_its_id(shell: Shell, api: FakeApi) -> None:
    waiting = MATCHED | {"verdict": "waiting", "reason": "it waits: run wfr_x of service/billing is at work"}
    api.on("GET", "/v1/events/evt_1/explain", (200, explained(waiting)))

    out = shell("explain", "evt_1").out

    assert "… waits" in out
    assert f"run {RUN}" in out
    assert "it waits: run wfr_x of service/billing is at work" in out
