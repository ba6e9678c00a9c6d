import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded.log import EmbeddedLog
from headrace.contracts import codec
from headrace.core import ids
from headrace.core.commands import CancelRun, ReportNode, StartRun
from headrace.ports.errors import UnavailableError
from tests.api.world import NOW, TestClock, World, completed, make_settings, make_world, waiting_run, workflow

START = "/v1/workflows/restart/runs"
INPUTS = {"inputs": {"service": "billing"}}


async def test_a_start_publishes_a_command_and_shows_the_run_as_accepted(world: World) -> None:
    await world.save_workflow(workflow())

    response = await world.call("admin", "POST", START, INPUTS)

    assert response.status_code == 201, response.text
    shown = response.json()["workflowRun"]
    assert shown["status"] == "IN_PROGRESS"
    assert shown["result"] is None
    assert shown["nodeRuns"] == []
    assert shown["workflow"] == {"identifier": "restart", "version": 1}
    assert shown["createdBy"] == "u_admin"
    assert response.headers["location"] == f"/v1/workflows/runs/{shown['identifier']}"
    [command] = await world.commands()
    assert isinstance(command, StartRun)
    assert command.run_id == shown["identifier"]
    assert command.output == {"service": "billing", "tier": "silver"}, "defaults are filled in"
    assert (command.trigger, command.version, command.created_by, command.at) == ("start", 1, "u_admin", NOW)


async def test_a_start_answers_with_the_run_as_soon_as_it_appears() -> None:
    world = make_world(make_settings(start_wait_seconds=5))
    await world.save_workflow(workflow())
    run = waiting_run()

    async def orchestrate() -> None:
        consumer = await world.log.subscribe("orchestrator", [world.topics.run_commands])
        [record] = await consumer.fetch(1, 2)
        command = codec.decode_command(record)
        assert isinstance(command, StartRun)
        await world.save_run(replace(run, id=command.run_id, causation=command.causation))

    _, response = await asyncio.gather(orchestrate(), world.call("admin", "POST", START, INPUTS))

    assert response.status_code == 201
    assert [node["node"]["identifier"] for node in response.json()["workflowRun"]["nodeRuns"]] == ["start", "call"]
    await world.app.state.context.watch.close()


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"inputs": {}}, "missing-input", "/inputs/service"),
        ({}, "missing-input", "/inputs/service"),
        ({"inputs": {"service": 5}}, None, "/inputs/service"),
        ({"inputs": {"service": "a", "colour": "b"}}, "unknown-input", "/inputs/colour"),
        ({"inputs": {"service": None}}, "missing-input", "/inputs/service"),
    ],
)
async def test_inputs_that_do_not_fit_start_no_run(world: World, body: Any, code: str | None, pointer: str) -> None:
    await world.save_workflow(workflow())

    response = await world.call("admin", "POST", START, body)

    assert response.status_code == 422
    assert response.json()["error"] == "invalid_inputs"
    error = response.json()["errors"][0]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code
    assert await world.commands() == []


async def test_an_empty_body_starts_a_workflow_without_inputs(world: World) -> None:
    document = workflow()
    del document["nodes"][0]["config"]["userInputs"]
    await world.save_workflow(document)

    assert (await world.call("admin", "POST", START)).status_code == 201


async def test_a_trigger_must_be_named_when_there_are_several(world: World) -> None:
    document = workflow()
    document["nodes"].append({"identifier": "again", "config": {"type": "SELF_SERVE_TRIGGER"}})
    await world.save_workflow(document)

    unclear = await world.call("admin", "POST", START, INPUTS)
    clear = await world.call("admin", "POST", START, {"nodeIdentifier": "again"})

    assert unclear.status_code == 422
    assert unclear.json()["error"] == "trigger_required"
    assert '"start", "again"' in unclear.json()["message"]
    assert clear.status_code == 201


@pytest.mark.parametrize("name", ["call", "nope"])
async def test_only_self_serve_triggers_can_be_started(world: World, name: str) -> None:
    await world.save_workflow(workflow())

    response = await world.call("admin", "POST", START, {**INPUTS, "nodeIdentifier": name})

    assert (response.status_code, response.json()["error"]) == (422, "trigger_unavailable")
    assert response.json()["errors"][0]["pointer"] == "/nodeIdentifier"


async def test_unpublished_triggers_and_workflows_without_a_form_say_why_they_cannot_be_started(world: World) -> None:
    unpublished = workflow()
    unpublished["nodes"][0]["config"]["published"] = False
    await world.save_workflow(unpublished)
    event = {"type": "ENTITY_CREATED", "blueprintIdentifier": "service"}
    listening = workflow("listening")
    listening["nodes"][0]["config"] = {"type": "EVENT_TRIGGER", "event": event}
    await world.save_workflow(listening)

    first = await world.call("admin", "POST", START, INPUTS)
    second = await world.call("admin", "POST", "/v1/workflows/listening/runs", {})

    assert (first.status_code, first.json()["error"]) == (422, "trigger_unavailable")
    assert "not published" in first.json()["message"]
    assert (second.status_code, second.json()["error"]) == (422, "trigger_unavailable")


async def test_the_same_idempotency_key_asks_for_the_same_run(world: World) -> None:
    await world.save_workflow(workflow())
    key = {"idempotency-key": "deploy-42"}

    first = await world.call("admin", "POST", START, INPUTS, key)
    second = await world.call("admin", "POST", START, INPUTS, key)
    other_person = await world.call("machine", "POST", START, INPUTS, key)
    without = await world.call("admin", "POST", START, INPUTS)

    identifiers = [it.json()["workflowRun"]["identifier"] for it in (first, second, other_person, without)]
    assert identifiers[0] == identifiers[1]
    assert len(set(identifiers)) == 3, "keys are each caller's own"


@pytest.mark.parametrize("is_stored", [True, False])
async def test_the_same_key_with_another_payload_is_refused(world: World, is_stored: bool) -> None:
    await world.save_workflow(workflow())
    key = {"idempotency-key": "deploy-42"}
    await world.call("admin", "POST", START, INPUTS, key)
    if is_stored:
        [command] = await world.commands()
        assert isinstance(command, StartRun)
        await world.save_run(replace(waiting_run(), id=command.run_id, causation=command.causation))

    same = await world.call("admin", "POST", START, INPUTS, key)
    other = await world.call("admin", "POST", START, {"inputs": {"service": "search"}}, key)

    assert same.status_code == 201
    assert same.headers.get("idempotent-replayed") == ("true" if is_stored else None)
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "naïve"])
async def test_idempotency_keys_that_cannot_be_kept_are_refused(world: World, key: str) -> None:
    await world.save_workflow(workflow())
    headers = {"authorization": (await world.authorization("admin"))["authorization"], "idempotency-key": key}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    response = await world.client.post(START, json=INPUTS, headers=raw)

    assert (response.status_code, response.json()["error"]) == (422, "invalid_parameter")
    assert response.json()["errors"][0]["parameter"] == "idempotency-key"


async def test_a_log_that_does_not_answer_is_503_and_never_a_promise(world: World) -> None:
    await world.save_workflow(workflow())
    run = await world.save_run(waiting_run())
    node = run.nodes["call"].id
    await world.authorization("admin")
    await world.log.close()

    for method, path, body in (
        ("POST", START, INPUTS),
        ("POST", f"/v1/workflows/runs/{run.id}/cancel", {}),
        ("PATCH", f"/v1/workflows/nodes/runs/{node}", {"status": "IN_PROGRESS"}),
        ("POST", f"/v1/workflows/nodes/runs/{node}/logs", {"logs": [{"message": "hi"}]}),
    ):
        response = await world.call("admin", method, path, body)
        assert (response.status_code, response.json()["error"]) == (503, "unavailable"), path
        assert response.headers["retry-after"] == "1"


async def test_a_store_that_does_not_answer_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise UnavailableError("no primary")

    await world.authorization("admin")
    monkeypatch.setattr(world.runs, "query", fail)
    monkeypatch.setattr(world.definitions, "revision", fail)

    assert (await world.call("admin", "GET", "/v1/workflows/runs")).status_code == 503
    ready = await world.call(None, "GET", "/healthz/ready")
    assert (ready.status_code, ready.json()["error"]) == (503, "unavailable")
    assert (await world.call(None, "GET", "/healthz/live")).status_code == 200


async def test_a_run_is_shown_with_every_field_of_the_specification(world: World) -> None:
    await world.save_workflow(workflow())
    run = await world.save_run(waiting_run())

    response = await world.call("admin", "GET", f"/v1/workflows/runs/{run.id}")

    shown = response.json()["workflowRun"]
    assert shown["identifier"] == run.id
    assert (shown["title"], shown["icon"]) == ("Restart a service", None)
    assert (shown["status"], shown["result"], shown["completedAt"]) == ("IN_PROGRESS", None, None)
    assert shown["createdAt"] == "2026-11-22T09:00:00.000Z"
    assert shown["updatedAt"] == "2026-11-22T09:00:00.020Z"
    assert shown["workflowVersionId"] == 1
    assert shown["nodeConfigType"] == "SELF_SERVE_TRIGGER"
    assert shown["variables"] == {"outputs": {"start": {"service": "billing", "tier": "gold"}}}
    start, call = shown["nodeRuns"]
    assert (start["nodeTitle"], start["status"], start["result"]) == ("Ask", "COMPLETED", "SUCCESS")
    assert start["blockedOn"] is None
    assert call["node"] == {"identifier": "call"}
    assert (call["nodeTitle"], call["nodeConfigType"], call["attempt"]) == ("Call", "WEBHOOK", 1)
    assert call["output"] == {"response": {"status": 202}}
    assert call["blockedOn"] == {
        "kind": "report", "until": "2026-11-22T09:01:00.000Z",
        "reason": "a report, until 2026-11-22T09:01:00.000Z at most",
    }  # fmt: skip
    assert call["nodeRunLogs"] == [
        {
            "logLevel": "INFO", "log": "accepted", "level": "INFO", "message": "accepted", "tags": {"step": "1"},
            "createdAt": "2026-11-22T09:00:00.020Z", "updatedAt": "2026-11-22T09:00:00.020Z",
        }
    ]  # fmt: skip


async def test_a_failed_run_says_why(world: World) -> None:
    await world.save_workflow(workflow())
    run = await world.save_run(completed(waiting_run(), "FAILED"))

    shown = (await world.call("admin", "GET", f"/v1/workflows/runs/{run.id}")).json()["workflowRun"]

    assert (shown["status"], shown["result"], shown["completedAt"]) == (
        "COMPLETED",
        "FAILED",
        "2026-11-22T09:00:01.020Z",
    )
    assert shown["nodeRuns"][1]["error"] == "It broke."
    assert shown["nodeRuns"][1]["externalRunId"] == "job-7"
    assert shown["nodeRuns"][1]["links"] == ["https://ci.example.com/7"]


@pytest.mark.parametrize("run_id", ["wfr_0000000000000000", "nope", "wfr_", "%00", "wfr_" + "x" * 2000])
async def test_runs_that_are_not_there_are_not_found(world: World, run_id: str) -> None:
    for path in ("", "/logs", "/stream"):
        response = await world.call("admin", "GET", f"/v1/workflows/runs/{run_id}{path}")
        assert (response.status_code, response.json()["error"]) == (404, "not_found")
        assert len(response.text) < 1_000 + 2 * len(run_id)
    assert (await world.call("admin", "POST", f"/v1/workflows/runs/{run_id}/cancel")).status_code == 404


async def test_the_logs_of_a_run_come_in_order_with_their_nodes(world: World) -> None:
    await world.save_workflow(workflow())
    run = await world.save_run(waiting_run())

    logs = (await world.call("admin", "GET", f"/v1/workflows/runs/{run.id}/logs")).json()["logs"]

    assert [(line["message"], line["node"]["identifier"]) for line in logs] == [("accepted", "call")]
    assert logs[0]["nodeRunIdentifier"] == run.nodes["call"].id


class TestList:
    async def ids(self, world: World, query: str) -> list[str]:
        response = await world.call("admin", "GET", f"/v1/workflows/runs?{query}")
        assert response.status_code == 200, response.text
        return [run["identifier"] for run in response.json()["workflowRuns"]]

    async def test_filters_narrow_and_pages_go_on(self, world: World) -> None:
        await world.save_workflow(workflow())
        old = await world.save_run(waiting_run("a", at=NOW - 2000))
        done = await world.save_run(completed(waiting_run("b", at=NOW - 1000, created_by="u_ben")))
        new = await world.save_run(waiting_run("c", "other"))

        assert await self.ids(world, "") == [new.id, done.id, old.id], "newest first"
        assert await self.ids(world, "limit=1") == [new.id]
        assert await self.ids(world, "limit=1&offset=1") == [done.id]
        assert await self.ids(world, "offset=3") == []
        assert await self.ids(world, "workflowIdentifiers=restart") == [done.id, old.id]
        assert await self.ids(world, "workflowIdentifiers=restart&workflowIdentifiers=other") == [
            new.id,
            done.id,
            old.id,
        ]
        assert await self.ids(world, f"workflowRunIdentifiers={old.id}") == [old.id]
        assert await self.ids(world, "workflowVersions=1") == [new.id, done.id, old.id]
        assert await self.ids(world, "workflowVersions=2") == []
        assert await self.ids(world, "createdBy=u_ben") == [done.id]
        assert await self.ids(world, "statuses=COMPLETED") == [done.id]
        assert await self.ids(world, "statuses=IN_PROGRESS&results=SUCCESS") == []
        assert await self.ids(world, "results=SUCCESS&results=FAILED") == [done.id]

    async def test_rows_come_without_log_lines(self, world: World) -> None:
        await world.save_run(waiting_run())

        row = (await world.call("admin", "GET", "/v1/workflows/runs")).json()["workflowRuns"][0]

        assert "nodeRunLogs" not in row["nodeRuns"][1]
        assert row["title"] is None, "its workflow is gone"

    @pytest.mark.parametrize(
        ("query", "parameter", "code"),
        [
            ("limit=0", "limit", "invalid-value"),
            ("limit=1001", "limit", "invalid-value"),
            ("limit=ten", "limit", "invalid-value"),
            ("limit=1_0", "limit", "invalid-value"),
            ("limit=%201", "limit", "invalid-value"),
            ("limit=1.0", "limit", "invalid-value"),
            ("limit=", "limit", "invalid-value"),
            ("limit=1&limit=2", "limit", "repeated-parameter"),
            ("offset=-1", "offset", "invalid-value"),
            ("offset=99999999999999999999999", "offset", "invalid-value"),
            ("statuses=DONE", "statuses", "invalid-value"),
            ("statuses=IN_PROGRESS,COMPLETED", "statuses", "invalid-value"),
            ("results=success", "results", "invalid-value"),
            ("workflowVersions=0", "workflowVersions", "invalid-value"),
            ("workflowIdentifiers=", "workflowIdentifiers", "invalid-value"),
            ("workflowIdentifiers=a%00b", "workflowIdentifiers", "invalid-value"),
            ("workflowIdentifiers[]=a", "workflowIdentifiers[]", "unknown-parameter"),
            ("workflowIdentifier=a", "workflowIdentifier", "unknown-parameter"),
            ("createdBy=" + "x" * 1001, "createdBy", "invalid-value"),
            ("createdBy[$ne]=x", "createdBy[$ne]", "unknown-parameter"),
            ("&".join(["workflowIdentifiers=a"] * 101), "workflowIdentifiers", "repeated-parameter"),
        ],
    )
    async def test_parameters_that_cannot_be_used_are_refused_by_name(
        self, world: World, query: str, parameter: str, code: str
    ) -> None:
        response = await world.call("admin", "GET", f"/v1/workflows/runs?{query}")

        assert (response.status_code, response.json()["error"]) == (422, "invalid_parameter")
        [error] = response.json()["errors"]
        assert (error["parameter"], error["code"]) == (parameter, code)

    async def test_all_bad_parameters_are_named_at_once(self, world: World) -> None:
        response = await world.call("admin", "GET", "/v1/workflows/runs?limit=0&offset=x&colour=red")

        assert {error["parameter"] for error in response.json()["errors"]} == {"limit", "offset", "colour"}

    async def test_a_misspelt_parameter_gets_a_hint(self, world: World) -> None:
        response = await world.call("admin", "GET", "/v1/workflows/runs?status=COMPLETED")

        assert response.json()["errors"][0]["hint"] == 'Did you mean "statuses"?'


class TestCancel:
    @pytest.mark.parametrize(
        ("query", "body", "force"),
        [("", None, False), ("", {}, False), ("", {"force": True}, True), ("?force=true", None, True)],
    )
    async def test_cancel_publishes_the_wish(self, world: World, query: str, body: Any, force: bool) -> None:
        run = await world.save_run(waiting_run())

        response = await world.call("admin", "POST", f"/v1/workflows/runs/{run.id}/cancel{query}", body)

        assert (response.status_code, response.json()) == (200, {"ok": True})
        assert await world.commands() == [CancelRun(run.id, NOW, "u_admin", force)]

    async def test_a_completed_run_cannot_be_cancelled(self, world: World) -> None:
        run = await world.save_run(completed(waiting_run()))

        response = await world.call("admin", "POST", f"/v1/workflows/runs/{run.id}/cancel")

        assert (response.status_code, response.json()["error"]) == (409, "run_completed")
        assert await world.commands() == []

    async def test_who_started_a_run_may_cancel_it_and_who_may_only_look_may_not(self, world: World) -> None:
        await world.save_workflow(workflow(allowAnyoneToViewRuns=True))
        run = await world.save_run(waiting_run(created_by="u_maya"))
        path = f"/v1/workflows/runs/{run.id}/cancel"

        assert (await world.call("maya", "POST", path)).status_code == 200
        assert (await world.call("ben", "POST", path)).status_code == 403


class TestNodeRuns:
    async def run(self, world: World) -> tuple[str, str]:
        run = await world.save_run(waiting_run())
        return run.id, run.nodes["call"].id

    @pytest.mark.parametrize("is_alias", [False, True])
    async def test_a_report_is_published_as_it_was_told(self, world: World, is_alias: bool) -> None:
        run_id, node = await self.run(world)
        path = f"/v1/workflows/runs/{run_id}/nodes/{node}" if is_alias else f"/v1/workflows/nodes/runs/{node}"
        long = "x" * 5_000
        body = {
            "status": "COMPLETED", "result": "SUCCESS", "output": {"response": {"data": {"id": 7}}},
            "logs": [{"logLevel": "WARN", "log": "slow", "tags": {"a": "b"}}, {"level": "ERROR", "message": long}],
            "externalRunId": "job-7", "links": ["https://ci.example.com/7"],
        }  # fmt: skip

        response = await world.call("machine", "PATCH", path, body)

        assert (response.status_code, response.json()) == (200, {"ok": True}), response.text
        [command] = await world.commands()
        assert isinstance(command, ReportNode)
        assert (command.run_id, command.node_run_id, command.by, command.at) == (run_id, node, "machine", NOW)
        assert (command.status, command.result) == ("COMPLETED", "SUCCESS")
        assert command.output == {"response": {"data": {"id": 7}}}
        assert [(line.level, line.message[:4], line.tags) for line in command.logs] == [
            ("WARN", "slow", (("a", "b"),)), ("ERROR", "xxxx", ()),
        ]  # fmt: skip
        assert len(command.logs[1].message) == 4_000
        assert (command.external_run_id, command.links) == ("job-7", ("https://ci.example.com/7",))

    async def test_reports_under_one_key_are_one_report(self, world: World) -> None:
        _, node = await self.run(world)
        for key in ("k", "k", "l"):
            await world.call(
                "machine",
                "PATCH",
                f"/v1/workflows/nodes/runs/{node}",
                {"status": "IN_PROGRESS"},
                {"idempotency-key": key},
            )
        reports = [command.report_id for command in await world.commands() if isinstance(command, ReportNode)]
        assert reports[0] == reports[1] != reports[2]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"status": "COMPLETED"}, ""),
            ({"result": "SUCCESS"}, ""),
            ({"status": "DONE"}, "/status"),
            ({"status": "COMPLETED", "result": "OK"}, "/result"),
            ({"output": []}, "/output"),
            ({"output": "text"}, "/output"),
            ({"logs": [{"level": "TRACE"}]}, "/logs/0/level"),
            ({"logs": [{"level": "INFO", "logLevel": "WARN"}]}, "/logs/0"),
            ({"logs": [{"tags": {"a": 1}}]}, "/logs/0/tags/a"),
            ({"logs": {}}, "/logs"),
            ({"logs": [{}] * 1_001}, "/logs"),
            ({"links": "https://x"}, "/links"),
            ({"links": ["x"] * 21}, "/links"),
            ({"externalRunId": ""}, "/externalRunId"),
            ({"externalRunId": 7}, "/externalRunId"),
            ({"statusLabel": "x"}, "/statusLabel"),
            ([], ""),
            ("COMPLETED", ""),
        ],
    )
    async def test_reports_that_make_no_sense_are_refused(self, world: World, body: Any, pointer: str) -> None:
        _, node = await self.run(world)

        response = await world.call("machine", "PATCH", f"/v1/workflows/nodes/runs/{node}", body)

        assert (response.status_code, response.json()["error"]) == (422, "invalid_request"), response.text
        assert response.json()["errors"][0]["pointer"] == pointer
        assert await world.commands() == []

    async def test_a_completed_node_run_is_final(self, world: World) -> None:
        run = await world.save_run(completed(waiting_run()))
        path = f"/v1/workflows/nodes/runs/{run.nodes['call'].id}"

        for method, where, body in (
            ("PATCH", path, {"status": "COMPLETED", "result": "FAILED"}),
            ("POST", path + "/logs", {"logs": [{"message": "late"}]}),
        ):
            response = await world.call("machine", method, where, body)
            assert (response.status_code, response.json()["error"]) == (409, "node_run_completed")
        assert await world.commands() == []

    async def test_unknown_node_runs_and_wrong_runs_are_not_found(self, world: World) -> None:
        _, node = await self.run(world)
        other = ids.run_id("restart", "start", "other")

        for method, path in (
            ("PATCH", "/v1/workflows/nodes/runs/wfnr_0000000000000000"),
            ("PATCH", f"/v1/workflows/runs/{other}/nodes/{node}"),
            ("GET", "/v1/workflows/nodes/runs/wfnr_0000000000000000/logs"),
            ("POST", "/v1/workflows/nodes/runs/wfnr_0000000000000000/logs"),
        ):
            body: Any = None if method == "GET" else {}
            assert (await world.call("machine", method, path, body)).status_code == 404, path

    async def test_logs_are_added_and_read_under_both_names(self, world: World) -> None:
        _, node = await self.run(world)
        path = f"/v1/workflows/nodes/runs/{node}/logs"

        added = await world.call("machine", "POST", path, {"logs": [{"level": "DEBUG", "message": "half way"}]})
        read = await world.call("machine", "GET", path)

        assert added.status_code == 201
        [command] = await world.commands()
        assert isinstance(command, ReportNode)
        assert [(line.level, line.message) for line in command.logs] == [("DEBUG", "half way")]
        assert command.status is None
        assert read.json()["logs"][0]["message"] == read.json()["logs"][0]["log"] == "accepted"
        assert read.json()["dropped"] == 0

    async def test_node_runs_are_found_by_their_external_id(self, world: World) -> None:
        await world.save_workflow(workflow())
        run = await world.save_run(completed(waiting_run()))

        plain = await world.call("machine", "GET", "/v1/workflows/nodes/runs?external_run_id=job-7")
        more = await world.call("machine", "GET", "/v1/workflows/nodes/runs?external_run_id=job-7&include=nodeConfig")

        [found] = plain.json()["nodeRuns"]
        assert (found["identifier"], found["workflowRun"]) == (run.nodes["call"].id, {"identifier": run.id})
        assert found["node"] == {"identifier": "call"}
        assert more.json()["nodeRuns"][0]["node"]["config"] == workflow()["nodes"][1]["config"]
        none = await world.call("machine", "GET", "/v1/workflows/nodes/runs?external_run_id=job-8")
        assert none.json()["nodeRuns"] == []
        assert (await world.call("machine", "GET", "/v1/workflows/nodes/runs")).status_code == 422


def snapshots(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Ids and runs of a stream of server-sent events."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            assert fields["event"] == "run"
            found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


class TestStream:
    async def follow(self, world: World, run_id: str, last: str | None = None) -> tuple[int, str]:
        headers = {} if last is None else {"last-event-id": last}
        response = await world.call("admin", "GET", f"/v1/workflows/runs/{run_id}/stream", headers=headers)
        return response.status_code, response.text

    async def test_every_change_is_sent_until_the_run_is_over(self, world: World) -> None:
        await world.save_workflow(workflow())
        run = await world.save_run(waiting_run())
        following = asyncio.create_task(self.follow(world, run.id))
        await world.until_followed(run.id)
        done = await world.save_run(completed(run))

        status, text = await following

        assert status == 200
        assert [(seq, shown["status"]) for seq, shown in snapshots(text)] == [
            (run.seq, "IN_PROGRESS"), (done.seq, "COMPLETED"),
        ]  # fmt: skip
        assert world.app.state.context.streams == 0

    async def test_who_comes_back_with_the_last_id_gets_only_news(self, world: World) -> None:
        run = await world.save_run(waiting_run())
        done = await world.save_run(completed(run))

        status, text = await self.follow(world, run.id, str(run.seq))

        assert status == 200
        assert [seq for seq, _ in snapshots(text)] == [done.seq]
        assert await self.follow(world, run.id, str(done.seq)) == (204, "")

    @pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 16, ""])
    async def test_an_id_that_was_never_sent_is_refused(self, world: World, last: str) -> None:
        run = await world.save_run(waiting_run())

        assert (await self.follow(world, run.id, last))[0] == 422

    async def test_a_quiet_stream_gives_signs_of_life_and_ends_with_the_service(self, world: World) -> None:
        run = await world.save_run(waiting_run())
        following = asyncio.create_task(self.follow(world, run.id))
        await asyncio.sleep(0.9)
        world.app.state.context.watch.stop()

        _, text = await following

        assert ": still here\n\n" in text
        assert len(snapshots(text)) == 1

    async def test_a_stream_ends_with_its_token(self, world: World) -> None:
        run = await world.save_run(waiting_run())
        following = asyncio.create_task(self.follow(world, run.id))
        await asyncio.sleep(0.05)
        world.clock.move(10_800)

        status, _ = await following

        assert status == 200

    async def test_too_many_streams_are_refused(self) -> None:
        world = make_world(make_settings(stream={"streams": 1}))
        run = await world.save_run(waiting_run())
        following = asyncio.create_task(self.follow(world, run.id))
        await world.until_followed(run.id)

        assert (await self.follow(world, run.id))[0] == 503

        await world.app.state.context.watch.close()
        await following

    async def test_a_log_that_cannot_be_followed_is_polled_around(self) -> None:
        class PlainLog:
            """Only what the port promises."""

            def __init__(self) -> None:
                self._log = EmbeddedLog(TestClock())
                self.publish = self._log.publish
                self.read = self._log.read

        world = make_world(log=PlainLog())
        run = await world.save_run(waiting_run())
        following = asyncio.create_task(self.follow(world, run.id))
        await asyncio.sleep(0.05)
        done = await world.save_run(completed(run))

        _, text = await asyncio.wait_for(following, 2)

        assert [seq for seq, _ in snapshots(text)] == [run.seq, done.seq]
