"""The wake graph that is kept between saves: right also when workflows are saved at the same time."""

import asyncio
from typing import Any

from headrace.ports.stores import WorkflowVersion
from headrace_api.wake_cycles import WakeCycles
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


class Moving:
    """A definition store whose answers were written down beforehand."""

    def __init__(self, *answers: list[WorkflowVersion]) -> None:
        self._answers = list(answers)

    async def all(self) -> list[WorkflowVersion]:
        return self._answers.pop(0)


def version(number: int, document: dict[str, Any]) -> WorkflowVersion:
    return WorkflowVersion(document["identifier"], number, document, "me", 0, "me", 0)


async def test_saves_at_the_same_time_do_not_disturb_each_other() -> None:
    large = writer("large", "x", "y")
    large["nodes"] += [
        {"identifier": f"n{number}", "config": {"type": "WEBHOOK", "url": "https://a.b/{{ .outputs.heard }}"}}
        for number in range(95)
    ]
    before, after = writer("a", "one", "two"), writer("a", "one", "three")
    many = [version(1, {**large, "identifier": f"large{number}"}) for number in range(40)]
    store: Any = Moving([version(1, before)], [version(1, before), *many], [version(2, after)])
    cycles = WakeCycles(store)
    await cycles.warn(writer("first", "x", "y"))

    slow, fast = await asyncio.gather(cycles.warn(writer("b", "two", "one")), cycles.warn(writer("c", "two", "one")))

    assert [problem.message for problem in slow] == ["This workflow can wake itself: b > a > b."]
    assert fast == ()


async def test_a_deleted_workflow_wakes_nobody(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())
    await world.call("admin", "POST", "/v1/workflows", writer("a", "x", "y"))
    await world.call("admin", "DELETE", "/v1/workflows/a")

    saved = await world.call("admin", "POST", "/v1/workflows", writer("b", "y", "x"))

    assert "wake-cycle" not in {it["code"] for it in saved.json()["warnings"]}
