"""The wake graph that is kept between saves: right also when workflows are saved at the same time."""

import asyncio
from typing import Any

from tests.api.world import World, workflow


def writer(identifier: str, hears: str, writes: str, **more: Any) -> dict[str, Any]:
    event = {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": hears}
    upsert = {"type": "UPSERT_ENTITY", "blueprintIdentifier": writes, "mapping": {"properties": {}}}
    return {
        "identifier": identifier,
        "nodes": [
            {"identifier": "heard", "config": {"type": "EVENT_TRIGGER", "event": event}},
            {"identifier": "write", "config": upsert},
        ],
        "connections": [{"sourceIdentifier": "heard", "targetIdentifier": "write"}],
        **more,
    }


async def test_saves_at_the_same_time_see_each_other_and_none_of_them_fails(world: World) -> None:
    for number in range(12):
        await world.call("admin", "POST", "/v1/workflows", writer(f"w{number}", f"b{number}", f"b{number + 1}"))

    answers = await asyncio.gather(
        *(
            world.call(
                "admin", "PUT", f"/v1/workflows/w{number}", writer(f"w{number}", f"b{number}", "z", title=str(n))
            )
            for n in range(3)
            for i in range(12)
        )
    )

    assert {response.status_code for response in answers} <= {200, 409}
    closing = await world.call("admin", "POST", "/v1/workflows", writer("last", "z", "b5"))
    (warning,) = [it for it in closing.json()["warnings"] if it["code"] == "wake-cycle"]
    assert "last > w5 > last" in warning["message"]


async def test_a_deleted_workflow_wakes_nobody(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())
    await world.call("admin", "POST", "/v1/workflows", writer("a", "x", "y"))
    await world.call("admin", "DELETE", "/v1/workflows/a")

    saved = await world.call("admin", "POST", "/v1/workflows", writer("b", "y", "x"))

    assert "wake-cycle" not in {it["code"] for it in saved.json()["warnings"]}
