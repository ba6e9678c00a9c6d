"""Schedules start runs in a running engine, and the engine says why."""

from pathlib import Path
from typing import Any

from tests.e2e.house import House, line, open_house, outputs, until, webhook

HOUR = 3_600_000


def hourly(**more: str) -> dict[str, Any]:
    return {"identifier": "clock", "config": {"type": "SCHEDULE_TRIGGER", "cron": "@hourly", **more}}


async def save_in_the_past(house: House, document: dict[str, Any], hours: int) -> None:
    """Save it as it would lie there had it been saved so long ago, and nothing run since."""
    at = house.engine.clock.now() - hours * HOUR
    await house.engine.definitions.create(str(document["identifier"]), document, "me", at)


async def test_an_instant_that_passed_while_the_engine_was_off_starts_its_run_once(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await save_in_the_past(house, line("report", hourly(), webhook("call", house.receiver.url)), 3)

        async def look() -> list[dict[str, Any]] | None:
            runs = await house.runs("report")
            return runs if runs and runs[0]["status"] == "COMPLETED" else None

        (run,) = await until(look, "the run of the schedule")
        explained = await house.explained(run["trigger"]["eventId"])
    async with open_house(tmp_path) as house:
        await house.engine.scheduler.sweep()
        await house.settled("headrace-orchestrator")
        assert len(await house.runs("report")) == 1

    scheduled = outputs(run)["clock"]
    assert scheduled["scheduledAt"].endswith(":00:00.000Z")
    assert run["result"] == "SUCCESS"
    assert run["createdBy"] == "headrace:schedule-trigger"
    assert [(it["workflow"], it["verdict"], it["runId"]) for it in explained["verdicts"]] == [
        ("report", "matched", run["identifier"])
    ]


async def test_what_is_wrong_with_a_schedule_is_said_when_it_is_saved(house: House) -> None:
    document = line("w", hourly(timezone="Europe/Berln"), webhook("call", house.receiver.url))

    refused = await house.call("POST", "/v1/workflows", document, 422)

    (problem,) = refused["errors"]
    assert (problem["code"], problem["pointer"]) == ("unknown-time-zone", "/nodes/0/config/timezone")
    assert "Europe/Berlin" in problem["hint"]
    fine = line("w", hourly(timezone="Europe/Berlin", missedRuns="all"), webhook("call", house.receiver.url))
    assert (await house.call("POST", "/v1/workflows", fine, 201))["warnings"] == []


async def test_a_workflow_that_can_wake_itself_by_way_of_another_is_saved_with_a_warning(house: House) -> None:
    start = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
    call_b = {"identifier": "call", "config": {"type": "WORKFLOW", "workflowIdentifier": "b"}}
    write = {"identifier": "write", "config": {"type": "UPSERT_ENTITY", "blueprintIdentifier": "x", "mapping": {}}}
    heard = {"type": "EVENT_TRIGGER", "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": "x"}}

    codes = []
    for document in (line("b", start, write), line("a", {"identifier": "heard", "config": heard}, call_b)):
        saved = await house.call("POST", "/v1/workflows", document, 201)
        codes.append([it for it in saved["warnings"] if it["code"] == "wake-cycle"])

    assert codes[0] == []
    (warning,) = codes[1]
    assert warning["pointer"] == "/nodes/1/config/workflowIdentifier"
    assert "a > b > a" in warning["message"]
