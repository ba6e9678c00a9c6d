"""The built-in catalog wakes workflows: changes of entities, and timers when their time has come."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.house import House, line, on_change, open_house, outputs, until, webhook

BLUEPRINT: dict[str, Any] = {
    "identifier": "service",
    "schema": {
        "properties": {"tier": {"type": "string"}, "ttl": {"type": "string", "format": "timer"}},
    },
}
ENTITIES = "/v1/blueprints/service/entities"


def on_timer() -> dict[str, Any]:
    trigger = on_change(event="TIMER_EXPIRED")
    trigger["config"]["event"]["propertyIdentifier"] = "ttl"
    return trigger


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def runs_of(house: House, workflow: str, count: int) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]] | None:
        runs = await house.runs(workflow)
        return runs if len(runs) >= count and all(run["status"] == "COMPLETED" for run in runs) else None

    return await until(look, f"{count} runs of {workflow}")


async def test_changes_of_entities_start_the_workflows_that_listen_to_them(house: House) -> None:
    await house.call("POST", "/v1/blueprints", BLUEPRINT, 201)
    url = house.receiver.url
    await house.save(
        line("gold", on_change('.diff.after.properties.tier == "gold"', event="ENTITY_UPDATED"), webhook("call", url)),
        line("gone", on_change(event="ENTITY_DELETED"), webhook("call", url)),
    )

    await house.call("POST", ENTITIES, {"identifier": "billing", "properties": {"tier": "silver"}}, 201)
    await house.call("POST", f"{ENTITIES}?upsert=true&merge=true", {"identifier": "billing", "title": "x"})
    await house.call("PATCH", f"{ENTITIES}/billing", {"properties": {"tier": "gold"}})
    await house.call("PATCH", f"{ENTITIES}/billing", {"properties": {"tier": "gold"}})
    await house.call("DELETE", f"{ENTITIES}/billing")
    (run,) = await runs_of(house, "gold", 1)
    await runs_of(house, "gone", 1)

    diff = outputs(run)["changed"]["diff"]
    assert [diff[side]["properties"]["tier"] for side in ("before", "after")] == ["silver", "gold"]
    assert outputs(run)["changed"]["context"]["entityIdentifier"] == "billing"


async def test_a_timer_starts_one_run_when_its_time_has_come(house: House) -> None:
    await house.call("POST", "/v1/blueprints", BLUEPRINT, 201)
    await house.save(line("expired", on_timer(), webhook("call", house.receiver.url)))
    await house.call("POST", ENTITIES, {"identifier": "past", "properties": {"ttl": soon(-60)}}, 201)
    await house.call("POST", ENTITIES, {"identifier": "soon", "properties": {"ttl": soon(1.0)}}, 201)
    await house.call("POST", ENTITIES, {"identifier": "later", "properties": {"ttl": soon(3_600)}}, 201)

    runs = await runs_of(house, "expired", 2)
    await asyncio.sleep(0.6)

    assert len(await house.runs("expired")) == 2
    contexts = [outputs(run)["changed"]["context"] for run in runs]
    assert {it["entityIdentifier"] for it in contexts} == {"past", "soon"}
    assert {it["propertyIdentifier"] for it in contexts} == {"ttl"}


async def test_the_catalog_and_its_timers_outlive_the_engine(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("POST", "/v1/blueprints", BLUEPRINT, 201)
        await house.save(line("expired", on_timer(), webhook("call", house.receiver.url)))
        await house.call("POST", ENTITIES, {"identifier": "demo", "properties": {"ttl": soon(1.5)}}, 201)
    await asyncio.sleep(1.5)

    async with open_house(tmp_path) as house:
        await runs_of(house, "expired", 1)
        shown = await house.call("GET", f"{ENTITIES}/demo")

    assert shown["entity"]["createdBy"] == "dev"


async def test_a_workflow_that_writes_what_wakes_it_is_cut_at_a_depth_and_the_ledger_says_so(house: House) -> None:
    await house.call("POST", "/v1/blueprints", {**BLUEPRINT, "schema": {"properties": {"n": {"type": "number"}}}}, 201)
    next_one = "{{ .outputs.changed.diff.after.properties.n + 1 }}"
    mapping = {"identifier": "{{ .outputs.changed.context.entityIdentifier }}", "properties": {"n": next_one}}
    config = {"type": "UPSERT_ENTITY", "blueprintIdentifier": "service", "mapping": mapping}
    document = line("counts", on_change(), {"identifier": "write", "config": config})
    saved = await house.call("POST", "/v1/workflows", document, 201)
    assert [it["code"] for it in saved["warnings"]] == ["wake-cycle"]

    await house.call("POST", ENTITIES, {"identifier": "x", "properties": {"n": 0}}, 201)

    async def look() -> str | None:
        for entry in (await house.call("GET", "/v1/ledger?workflow=counts"))["entries"]:
            if entry["verdicts"][0]["verdict"] == "loop":
                return str(entry["verdicts"][0]["reason"])
        return None

    reason = await until(look, "the loop to be cut")
    assert reason == "stopped: loop, 10 runs deep (counts > counts > counts > counts)"
    assert (await house.call("GET", f"{ENTITIES}/x"))["entity"]["properties"] == {"n": 10}
    assert len(await house.runs("counts")) == 10
