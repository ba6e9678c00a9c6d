"""Which events start which runs, how often, and what the engine says about it afterwards."""

import asyncio
from typing import Any

import orjson
import pytest

from headrace.contracts.entity_change import event_id
from headrace_trigger.app import TriggerService
from tests.e2e.house import House, change, line, on_change, outputs, webhook


def _verdicts(explanation: dict[str, Any]) -> dict[str, str]:
    return {verdict["workflow"]: verdict["verdict"] for verdict in explanation["verdicts"]}


async def test_the_same_event_sent_twice_starts_one_run(house: House) -> None:
    await house.save(line("once", on_change(), webhook("call", house.receiver.url)))

    first = await house.send(eventId="e-1")
    second = await house.send(eventId="e-1")
    other = await house.send(eventId="e-2")
    for event in (first, second, other):
        await house.only_run(event)

    assert first == second != other
    assert len(await house.runs("once")) == 2
    assert len(house.receiver.calls) == 2


async def test_the_same_cloud_event_in_both_modes_starts_one_run(house: House) -> None:
    await house.save(line("once", on_change(), webhook("call", house.receiver.url)))
    attributes = {"specversion": "1.0", "id": "c-1", "source": "urn:crm", "type": "changed"}

    structured = await house.call("POST", "/v1/events", {**attributes, "data": change()}, 202)
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    await house.publish(orjson.dumps(change()), (*headers, ("content-type", b"application/json")))
    await house.only_run(structured["eventId"])
    await house.settled("headrace-trigger")

    assert structured["eventId"] == event_id("urn:crm", "c-1")
    assert len(await house.runs("once")) == 1


async def test_two_workflows_and_two_triggers_that_match_one_event_each_start_a_run(house: House) -> None:
    url = house.receiver.url
    twice: dict[str, Any] = line("twice", on_change(), webhook("call", url))
    twice["nodes"].insert(1, {**on_change(event="ENTITY_UPDATED"), "identifier": "updated"})
    twice["connections"].append({"sourceIdentifier": "updated", "targetIdentifier": "call"})
    await house.save(line("single", on_change(), webhook("other", url)), twice)

    run_ids = await house.started_by(await house.send())
    runs = [await house.finished(run_id) for run_id in run_ids]

    assert len(set(run_ids)) == 3
    assert sorted((run["workflow"]["identifier"], run["trigger"]["identifier"]) for run in runs) == [
        ("single", "changed"), ("twice", "changed"), ("twice", "updated"),
    ]  # fmt: skip
    assert {run["result"] for run in runs} == {"SUCCESS"}
    by_trigger = {run["trigger"]["identifier"]: run for run in runs if run["workflow"]["identifier"] == "twice"}
    assert set(outputs(by_trigger["updated"])) == {"updated", "call"}


@pytest.mark.parametrize(
    ("listens_to", "actions"),
    [
        ("ENTITY_CREATED", ["CREATE"]),
        ("ENTITY_UPDATED", ["UPDATE"]),
        ("ENTITY_DELETED", ["DELETE"]),
        ("ANY_ENTITY_CHANGE", ["CREATE", "UPDATE", "DELETE"]),
    ],
)
async def test_a_trigger_hears_its_kind_of_change_of_its_blueprint_only(
    house: House, listens_to: str, actions: list[str]
) -> None:
    await house.save(line("listener", on_change(event=listens_to), webhook("call", house.receiver.url)))
    elsewhere = change()
    elsewhere["context"]["blueprintIdentifier"] = "team"
    for side in ("before", "after"):
        elsewhere["diff"][side]["blueprint"] = "team"

    heard = [action for action in ("CREATE", "UPDATE", "DELETE") if await _starts(house, change(action=action))]

    assert heard == actions
    assert not await _starts(house, elsewhere)


async def _starts(house: House, event: dict[str, Any]) -> bool:
    return bool(await house.started_by(await house.send(event)))


async def test_a_timer_event_starts_the_workflow_that_names_its_property(house: House) -> None:
    trigger = {
        "type": "EVENT_TRIGGER",
        "event": {"type": "TIMER_EXPIRED", "blueprintIdentifier": "service", "propertyIdentifier": "ttl"},
    }
    call = webhook("call", house.receiver.url)
    await house.save(line("expiry", {"identifier": "changed", "config": trigger}, call))
    event = change(action="TIMER_EXPIRED")
    event["diff"]["before"] = None

    event["context"]["propertyIdentifier"] = "other"
    assert await house.started_by(await house.send(event)) == []
    event["context"]["propertyIdentifier"] = "ttl"
    assert (await house.only_run(await house.send(event)))["result"] == "SUCCESS"


async def test_an_event_from_before_the_workflow_starts_nothing_and_the_ledger_says_so(house: House) -> None:
    # nobody listens while the event is published and the workflow is made, as during an outage of the trigger service
    await house.engine.trigger.stop()
    await house.publish(orjson.dumps({**change(), "eventId": "early"}))
    await asyncio.sleep(0.01)
    await house.save(line("young", on_change(), webhook("call", house.receiver.url)))
    engine = house.engine
    service = TriggerService(
        engine.log,
        engine.definitions,
        engine.evaluator,
        engine.ledger,
        engine.gates,
        engine.runs,
        engine.clock,
        house.topics,
        engine.metrics,
    )
    service.start(engine.tasks)
    await house.publish(orjson.dumps({**change(), "eventId": "in time"}))
    recorded = []
    for name in ("early", "in time"):
        event = event_id(house.topics.entity_changes, name)
        await house.explained(event)
        entry = await engine.ledger.find(event)
        assert entry is not None
        recorded += [(verdict.workflow, verdict.verdict) for verdict in entry.verdicts]
    await service.stop()

    assert recorded == [("young", "older"), ("young", "matched")]
    assert len(await house.runs("young")) == 1


async def test_the_loop_guard_cuts_a_chain_of_runs_at_its_depth(house: House) -> None:
    await house.save(line("chain", on_change(), webhook("call", house.receiver.url)))
    event = {"specversion": "1.0", "source": "urn:test", "type": "changed", "data": change()}

    def at_depth(depth: int) -> dict[str, Any]:
        chain = orjson.dumps(["chain"] * depth).decode()
        return {
            **event, "id": f"deep-{depth}", "causationroot": "evt_root", "causationdepth": str(depth),
            "causationchain": chain,
        }  # fmt: skip

    allowed = await house.call("POST", "/v1/events", at_depth(9), 202)
    cut = await house.call("POST", "/v1/events", at_depth(10), 202)

    assert (await house.only_run(allowed["eventId"]))["result"] == "SUCCESS"
    explanation = await house.explained(cut["eventId"])
    assert _verdicts(explanation) == {"chain": "loop"}
    assert "10 runs deep" in explanation["verdicts"][0]["reason"]
    assert len(await house.runs("chain")) == 1


async def test_the_ledger_explains_what_matched_what_was_filtered_and_what_erred(house: House) -> None:
    url = house.receiver.url
    tier = ".diff.after.properties.tier"
    await house.save(
        line("matching", on_change(f'{tier} == "gold"'), webhook("a", url)),
        line("filtering", on_change(f'{tier} | startswith("silver")'), webhook("b", url)),
        line("erring", on_change(f"{tier} | tonumber > 1"), webhook("c", url)),
        line("foreign", on_change(f'([range(3)] | length == 3) and {tier} == "lead"'), webhook("d", url)),
        line("silent", on_change(published=False), webhook("e", url)),
    )

    event = await house.send(change("billing", tier="gold"), eventId="why")
    explanation = await house.explained(event)

    verdicts = _verdicts(explanation)
    assert verdicts["matching"] == "matched"
    assert verdicts["filtering"] == "filtered"
    assert verdicts["erring"] == "error"
    assert verdicts["foreign"] == "filtered"
    assert verdicts["silent"] == "unpublished"
    assert (explanation["entity"], explanation["action"]) == ("billing", "UPDATE")
    by_workflow = {verdict["workflow"]: verdict for verdict in explanation["verdicts"]}
    clause = by_workflow["matching"]["clauses"][0]
    assert (clause["holds"], clause["values"][0]["value"]) == (True, "gold")
    assert "number" in by_workflow["erring"]["reason"]
    run = await house.only_run(event)
    assert run["identifier"] == by_workflow["matching"]["runId"]
    entries = (await house.call("GET", "/v1/ledger", params={"workflow": "matching"}))["entries"]
    assert [entry["eventId"] for entry in entries] == [event]


async def test_conditions_combine_with_and_or_as_the_trigger_says(house: House) -> None:
    url, yes, no = house.receiver.url, "true", "false"

    def listens(name: str, combinator: str | None, *expressions: str) -> dict[str, Any]:
        trigger = on_change(*expressions)
        if combinator:
            trigger["config"]["condition"]["combinator"] = combinator
        return line(name, trigger, webhook(name, url))

    await house.save(
        listens("both", "and", yes, yes), listens("not-both", "and", yes, no), listens("either", "or", no, yes),
        listens("neither", "or", no, no), listens("default", None, yes, no), listens("truthy", None, "1"),
        listens("foreign", "or", no, "[limit(2; range(9))] | length == 2"),
    )  # fmt: skip

    explanation = await house.explained(await house.send())

    matched = {name for name, verdict in _verdicts(explanation).items() if verdict == "matched"}
    assert matched == {"both", "either", "foreign"}


async def test_an_event_that_was_never_sent_can_be_tried_without_starting_anything(house: House) -> None:
    await house.save(line("once", on_change(), webhook("call", house.receiver.url)))

    tried = await house.call("POST", "/v1/events/explain", change())
    await house.settled("headrace-trigger")

    assert [trigger["verdict"] for trigger in tried["triggers"]] == ["matched"]
    assert await house.runs("once") == []


async def test_a_start_with_the_same_idempotency_key_gives_the_same_run(house: House) -> None:
    trigger = {"identifier": "ask", "config": {"type": "SELF_SERVE_TRIGGER"}}
    await house.save(line("asked", trigger, webhook("call", house.receiver.url)))

    answers = [
        await house.call("POST", "/v1/workflows/asked/runs", {}, 201, headers={"Idempotency-Key": "k"})
        for _ in range(3)
    ]

    assert len({answer["workflowRun"]["identifier"] for answer in answers}) == 1
    assert len(await house.runs("asked")) == 1


async def test_an_explanation_shows_each_sub_expression_and_answers_for_one_workflow_even_an_unpublished_one(
    house: House,
) -> None:
    text = '.diff.after.properties.tier == "gold" and (.diff.after.properties.size | length) > 3'
    silent = on_change()
    silent["config"]["published"] = False
    url = house.receiver.url
    await house.save(line("big", on_change(text), webhook("call", url)), line("silent", silent, webhook("call", url)))
    event_id = await house.send(change(tier="gold", size="xl"))
    await house.explained(event_id)

    (big,) = (await house.call("GET", f"/v1/events/{event_id}/decisions?workflow=big"))["explanation"]["verdicts"]
    (off,) = (await house.call("GET", f"/v1/events/{event_id}/explain?workflow=silent"))["explanation"]["verdicts"]

    (clause,) = big["clauses"]
    assert [(part["expression"], part["answer"]) for part in clause["parts"]] == [
        ('.diff.after.properties.tier == "gold"', "true"),
        ("(.diff.after.properties.size | length) > 3", "false"),
    ]
    (length,) = clause["parts"][1]["parts"]
    assert (length["expression"], length["answer"]) == (".diff.after.properties.size | length", "2")
    assert [part["answer"] for part in length["parts"]] == ["xl", "2"]
    assert (off["verdict"], off["reason"]) == ("unpublished", "the trigger is not published")
