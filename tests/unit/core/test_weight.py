"""Templates can multiply what they read; what they make is bounded."""

import pytest

from headrace.core.json import Json
from headrace.core.weight import objection
from tests.scenario import Scenario, edge, start_node, webhook


def nested(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [None, 1, "a", [], {"a": [1, {"b": None}]}, "x" * 262_000, nested(128), [[]] * 500])
def test_what_can_be_kept_meets_no_objection(value: Json) -> None:
    assert objection(value) is None


@pytest.mark.parametrize(
    ("value", "word"), [("x" * 262_143, "KiB"), (nested(129), "deep"), (nested(600), "JSON"), ([10**30], "JSON")]
)
def test_what_cannot_be_kept_is_refused_in_words(value: Json, word: str) -> None:
    assert word in (objection(value) or "")


def test_a_chain_of_nodes_cannot_double_its_outputs_without_end() -> None:
    """`{{ .outputs }}` in variables copies all that came before: 13 nodes made 391 MB."""
    names = [f"n{number}" for number in range(40)]
    copies: Json = {"a": "{{ .outputs }}", "b": "{{ .outputs }}"}
    nodes = [start_node(), *(webhook(name, variables=copies) for name in names)]
    scenario = Scenario.of(nodes, [edge(a, b) for a, b in zip(["start", *names], names, strict=False)])
    scenario.start({"text": "x" * 1000})
    for name in names:
        if scenario.state.is_over:
            break
        scenario.answer(name)

    failed = next(node for node in scenario.state.nodes.values() if node.result == "FAILED")
    assert scenario.state.result == "FAILED"
    assert "256 KiB can be kept" in (failed.error or "")
