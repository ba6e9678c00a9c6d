"""Whole runs through the real engine: an event or a person starts it, webhooks are called, the run tells it all."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.codec import decode_event
from headrace.core.events import fold
from tests.e2e.house import House, change, condition, edge, line, node_run, on_change, open_house, outputs, webhook
from tests.e2e.receiver import Answer


async def test_an_event_starts_a_run_whose_webhooks_get_rendered_signed_requests(house: House) -> None:
    url = house.receiver.url
    house.receiver.on("/open", Answer(data={"ticketId": "T-9"}))
    opened = webhook(
        "open", url, headers={"X-Tier": "{{ .outputs.changed.diff.after.properties.tier }}"},
        body={"svc": "{{ .outputs.changed.context.entityIdentifier }}", "n": 1},
        variables={"ticket": "{{ .response.data.ticketId }}"},
    )  # fmt: skip
    closed = webhook("close", url, method="PUT", body=["{{ .outputs.open.ticket }}", "{{ .workflowRun.identifier }}"])
    await house.save(line("restart", on_change(), opened, closed))

    run = await house.only_run(await house.send(change("billing")))

    assert (run["status"], run["result"]) == ("COMPLETED", "SUCCESS")
    assert [node["node"]["identifier"] for node in run["nodeRuns"]] == ["changed", "open", "close"]
    assert outputs(run)["open"] == {"ticket": "T-9"}
    assert outputs(run)["close"] == {"response": {"status": 200, "data": {}}}
    assert outputs(run)["changed"]["diff"]["after"]["properties"] == {"tier": "gold"}
    first, second = house.receiver.calls
    assert (first.method, first.path, first.json) == ("POST", "/open", {"svc": "billing", "n": 1})
    assert (second.method, second.path, second.json) == ("PUT", "/close", ["T-9", run["identifier"]])
    assert first.headers["x-tier"] == "gold"
    for call, name in ((first, "open"), (second, "close")):
        assert call.is_signed(house.engine.signing_secret)
        assert not call.is_signed("another secret")
        assert call.headers["content-type"] == "application/json"
        assert call.headers["x-port-workflow-run-id"] == run["identifier"]
        assert call.headers["x-port-node-run-id"] == call.webhook_id == node_run(run, name)["identifier"]


GOLD = '.outputs.changed.diff.after.properties.tier == "gold"'


def _branching(dialect: str, url: str) -> dict[str, Any]:
    """A condition with one branch and a default, written in one of the three dialects of spec 0.2."""
    nodes = [
        on_change(),
        {"identifier": "tier", "config": {"type": "CONDITION"}},
        webhook("strict", url),
        webhook("plain", url),
    ]
    config = nodes[1]["config"]
    first = edge("changed", "tier")
    if dialect == "S":
        config["conditions"] = [{"title": "gold", "expression": GOLD, "connectionIdentifier": "to_strict"}]
        config["defaultConnectionIdentifier"] = "to_plain"
        edges = [
            {**first, "identifier": "e1"},
            {**edge("tier", "strict"), "identifier": "to_strict"},
            {**edge("tier", "plain"), "identifier": "to_plain"},
        ]
    else:
        kind = {"O": "options", "L": "outlets"}[dialect]
        field = {"O": "sourceOptionIdentifier", "L": "sourceOutletIdentifier"}[dialect]
        config[kind] = [{"identifier": "gold", "title": "gold", "expression": GOLD}]
        edges = [first, {**edge("tier", "strict"), field: "gold"}, edge("tier", "plain", fallback=True)]
    return {"identifier": "branching", "nodes": nodes, "connections": edges}


@pytest.mark.parametrize("dialect", ["S", "O", "L"])
async def test_a_condition_takes_its_branch_or_the_default_in_every_dialect(house: House, dialect: str) -> None:
    await house.save(_branching(dialect, house.receiver.url))

    gold = await house.only_run(await house.send(change(tier="gold")))
    silver = await house.only_run(await house.send(change(tier="silver")))

    assert [node["node"]["identifier"] for node in gold["nodeRuns"]] == ["changed", "tier", "strict"]
    assert outputs(gold)["tier"]["selectedOutlet"]["title"] == "gold"
    assert [node["node"]["identifier"] for node in silver["nodeRuns"]] == ["changed", "tier", "plain"]
    assert outputs(silver)["tier"] == {"selectedOutlet": None}
    assert (gold["result"], silver["result"]) == ("SUCCESS", "SUCCESS")


async def test_a_condition_without_a_match_and_without_a_fallback_ends_the_run_well(house: House) -> None:
    nodes = [on_change(), condition("tier", none="false", late="true | not"), webhook("strict", house.receiver.url)]
    edges = [edge("changed", "tier"), edge("tier", "strict", "none")]
    await house.save({"identifier": "branching", "nodes": nodes, "connections": edges})

    run = await house.only_run(await house.send())

    assert run["result"] == "SUCCESS"
    assert [node["node"]["identifier"] for node in run["nodeRuns"]] == ["changed", "tier"]
    assert house.receiver.calls == []


async def test_a_fan_out_calls_its_branches_at_once_and_their_join_once_with_both_outputs(house: House) -> None:
    url, gate = house.receiver.url, asyncio.Event()
    for side in ("left", "right"):
        house.receiver.on(f"/{side}", Answer(data={"side": side}, gate=gate))
    both = {"l": "{{ .outputs.left.response.data.side }}", "r": "{{ .outputs.right.response.data.side }}"}
    nodes = [on_change(), webhook("left", url), webhook("right", url), webhook("join", url, body=both)]
    edges = [edge("changed", "left"), edge("changed", "right"), edge("left", "join"), edge("right", "join")]
    await house.save({"identifier": "diamond", "nodes": nodes, "connections": edges})

    event = await house.send()
    await house.receiver.called("/left")
    await house.receiver.called("/right")
    gate.set()
    run = await house.only_run(event)

    assert run["result"] == "SUCCESS"
    assert [call.json for call in house.receiver.at("/join")] == [{"l": "left", "r": "right"}]
    assert len(house.receiver.calls) == 3


async def test_a_join_behind_a_condition_waits_only_for_the_branch_that_runs(house: House) -> None:
    url = house.receiver.url
    nodes = [
        on_change(),
        condition("which", a="true", b="true"),
        webhook("a", url),
        webhook("b", url),
        webhook("join", url),
    ]
    edges = [
        edge("changed", "which"),
        edge("which", "a", "a"),
        edge("which", "b", "b"),
        edge("a", "join"),
        edge("b", "join"),
    ]
    await house.save({"identifier": "diamond", "nodes": nodes, "connections": edges})

    run = await house.only_run(await house.send())

    assert run["result"] == "SUCCESS"
    assert [call.path for call in house.receiver.calls] == ["/a", "/join"]


async def test_a_person_starts_a_run_whose_inputs_reach_the_webhook(house: House) -> None:
    properties = {"service": {"type": "string"}, "tier": {"type": "string", "default": "silver"}}
    form = {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": properties, "required": ["service"]}}
    called = webhook(
        "call", house.receiver.url, body={"in": "{{ .outputs.ask }}", "alias": "{{ .outputs.trigger.tier }}"}
    )
    await house.save(line("asked", {"identifier": "ask", "config": form}, called))

    run = await house.finished((await house.start("asked", {"service": "billing"}))["identifier"])

    assert (run["result"], run["nodeConfigType"], run["createdBy"]) == ("SUCCESS", "SELF_SERVE_TRIGGER", "dev")
    expected = {"in": {"service": "billing", "tier": "silver"}, "alias": "silver"}
    assert house.receiver.calls[0].json == expected


async def test_a_run_that_waits_while_its_workflow_is_updated_finishes_on_its_old_version(house: House) -> None:
    url, gate = house.receiver.url, asyncio.Event()
    house.receiver.on("/first", Answer(data={}, gate=gate))
    await house.save(line("changing", on_change(), webhook("first", url), webhook("second", url, body={"v": 1})))
    event = await house.send()
    await house.receiver.called("/first")

    newer = line("changing", on_change(), webhook("third", url, body={"v": 2}))
    assert (await house.call("PUT", "/v1/workflows/changing", newer))["workflow"]["version"] == 2
    gate.set()
    old = await house.only_run(event)
    new = await house.only_run(await house.send())

    assert (old["workflow"]["version"], old["result"]) == (1, "SUCCESS")
    assert [node["node"]["identifier"] for node in old["nodeRuns"]] == ["changed", "first", "second"]
    assert (new["workflow"]["version"], new["result"]) == (2, "SUCCESS")
    assert [call.path for call in house.receiver.calls] == ["/first", "/second", "/third"]


async def test_a_deleted_workflow_starts_no_runs_while_its_runs_in_flight_finish(house: House) -> None:
    url, gate = house.receiver.url, asyncio.Event()
    house.receiver.on("/first", Answer(data={}, gate=gate))
    await house.save(line("doomed", on_change(), webhook("first", url), webhook("second", url)))
    event = await house.send()
    await house.receiver.called("/first")

    await house.call("DELETE", "/v1/workflows/doomed")
    later = await house.send()
    assert await house.started_by(later) == []
    gate.set()
    run_id = (await house.started_by(event))[0]
    run = await house.finished(run_id)

    assert run["result"] == "SUCCESS"
    assert [call.path for call in house.receiver.calls] == ["/first", "/second"]
    assert [run["identifier"] for run in await house.runs("doomed")] == [run_id]


async def test_the_events_of_a_run_are_published_without_gaps_and_fold_to_what_the_api_shows(house: House) -> None:
    await house.save(line("told", on_change(), webhook("one", house.receiver.url), webhook("two", house.receiver.url)))
    run = await house.only_run(await house.send())

    told = [decode_event(record) for record in await house.records(house.topics.run_events)]
    folded = fold(None, told)

    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert folded is not None
    assert (folded.id, folded.status, folded.result) == (run["identifier"], "COMPLETED", "SUCCESS")
    assert dict(folded.outputs) == outputs(run)


async def test_the_engine_does_the_same_in_memory() -> None:
    async with open_house() as house:
        await house.save(line("light", on_change(), webhook("one", house.receiver.url)))
        run = await house.only_run(await house.send())
        assert run["result"] == "SUCCESS"
        assert house.engine.settings.data is None


async def test_runs_workflows_and_credentials_outlive_a_restart(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.save(line("kept", on_change(), webhook("one", house.receiver.url)))
        before = await house.only_run(await house.send(eventId="one"))
        secret = house.engine.signing_secret
    async with open_house(tmp_path) as house:
        assert await house.runs("kept") == [{**before, "nodeRuns": _without_logs(before)}]
        assert await house.run(before["identifier"]) == before
        assert house.engine.signing_secret == secret
        await house.call("PUT", "/v1/workflows/kept", line("kept", on_change(), webhook("two", house.receiver.url)))

        again = await house.send(eventId="one")
        run = await house.only_run(await house.send(eventId="two"))

        assert await house.started_by(again) == [before["identifier"]]
        assert (run["result"], [call.path for call in house.receiver.calls]) == ("SUCCESS", ["/two"])


def _without_logs(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in node.items() if key not in ("nodeRunLogs", "logsDropped")}
        for node in run["nodeRuns"]
    ]


async def test_a_run_explains_its_branches_with_the_values_that_its_conditions_saw(house: House) -> None:
    start = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {
        "tier": {"type": "string"}, "n": {"type": "number"}}}}}  # fmt: skip
    route = condition(
        "route", gold='.outputs.start.tier == "gold"', foreign="[range(.outputs.start.n)] | length == 2", any="true"
    )
    document = line("w", start, route, webhook("call", house.receiver.url))
    document["connections"][1]["sourceOutletIdentifier"] = "foreign"
    await house.save(document)
    run = await house.finished((await house.start("w", {"tier": "silver", "n": 2}))["identifier"])

    (decision,) = (await house.call("GET", f"/v1/workflows/runs/{run['identifier']}/decisions"))["decisions"]

    assert (decision["node"], decision["reason"]) == ("route", "the branch foreign was the first to give true")
    gold, foreign, rest = decision["branches"]
    assert gold["clause"]["values"] == [{"path": ".outputs.start.tier", "value": "silver"}]
    assert (gold["clause"]["answer"], foreign["clause"]["answer"], foreign["taken"]) == ("false", "true", True)
    assert rest["clause"] is None
