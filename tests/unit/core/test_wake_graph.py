"""Which workflow can wake which, and the shortest way on which one can wake itself."""

from typing import Any

import pytest

from headrace.core.authoring import dialects
from headrace.core.wake_graph import Wakes, find_cycle, wakes_of


def hears(blueprint: str, event: str = "ANY_ENTITY_CHANGE", **more: Any) -> dict[str, Any]:
    return {"type": "EVENT_TRIGGER", "event": {"type": event, "blueprintIdentifier": blueprint, **more}}


def upserts(blueprint: str, **properties: Any) -> dict[str, Any]:
    return {"type": "UPSERT_ENTITY", "blueprintIdentifier": blueprint, "mapping": {"properties": properties}}


def calls(workflow: str) -> dict[str, Any]:
    return {"type": "WORKFLOW", "workflowIdentifier": workflow}


START = {"type": "SELF_SERVE_TRIGGER"}


def wakes(name: str, *configs: dict[str, Any]) -> Wakes:
    nodes: list[Any] = [{"identifier": f"n{number}", "config": config} for number, config in enumerate(configs)]
    edges: list[Any] = [{"sourceIdentifier": "n0", "targetIdentifier": node["identifier"]} for node in nodes[1:]]
    parsed = dialects.parse({"identifier": name, "nodes": nodes, "connections": edges})
    assert parsed.definition is not None, parsed.problems
    return wakes_of(parsed.definition)


@pytest.mark.parametrize("event", ["ENTITY_CREATED", "ENTITY_UPDATED", "ANY_ENTITY_CHANGE"])
def test_a_workflow_that_writes_what_it_hears_can_wake_itself(event: str) -> None:
    looping = wakes("w", hears("service", event), upserts("service"))

    assert find_cycle(looping, []) == ("/nodes/1/config/blueprintIdentifier", ("w", "w"))


@pytest.mark.parametrize(
    "configs",
    [
        (hears("service", "ENTITY_DELETED"), upserts("service")),
        (hears("service"), upserts("team")),
        (hears("service"), upserts("{{ .outputs.n0.diff.after.blueprint }}")),
        ({**hears("service"), "published": False}, upserts("service")),
        (hears("service", "TIMER_EXPIRED", propertyIdentifier="ttl"), upserts("service", tier="gold")),
        (START, upserts("service")),
        (START, calls("w")),
    ],
)
def test_what_does_not_lead_back_is_no_cycle(configs: tuple[dict[str, Any], ...]) -> None:
    assert find_cycle(wakes("w", *configs), []) is None


def test_a_timer_that_is_written_can_wake_who_waits_for_it() -> None:
    looping = wakes("w", hears("service", "TIMER_EXPIRED", propertyIdentifier="ttl"), upserts("service", ttl="x"))

    assert find_cycle(looping, []) == ("/nodes/1/config/blueprintIdentifier", ("w", "w"))


def test_the_shortest_way_through_others_is_named_from_the_workflow_to_itself() -> None:
    first = wakes("a", hears("one"), upserts("three"), upserts("two"))
    second = wakes("b", hears("two"), calls("c"))
    third = wakes("c", START, upserts("one"))
    longer = [wakes("d", hears("three"), upserts("four")), wakes("e", hears("four"), upserts("five"))]
    longest = wakes("f", hears("five"), upserts("one"))
    bystander = wakes("x", hears("two"), upserts("nowhere"))

    found = find_cycle(first, [*longer, longest, bystander, second, third])

    assert found == ("/nodes/2/config/blueprintIdentifier", ("a", "b", "c", "a"))


def test_an_older_version_of_the_workflow_itself_does_not_count() -> None:
    before = wakes("a", hears("one"), upserts("one"))
    after = wakes("a", hears("one"), upserts("two"))

    assert find_cycle(after, [before]) is None


def test_a_cycle_of_others_is_not_this_workflows_own() -> None:
    looping = wakes("b", hears("one"), upserts("one"))

    assert find_cycle(wakes("a", START, upserts("one")), [looping]) is None
