"""What is said about WORKFLOW and FOR_EACH nodes when a workflow is saved."""

from typing import Any

import pytest

from headrace.core import limits
from headrace.core.authoring import check
from tests.scenario import call, edge, start_node, webhook, workflow

C = "/nodes/1/config"


def problems(node: Any, *more: Any) -> set[tuple[str, str, str]]:
    edges = [edge("start", "it"), *(edge("it", each["identifier"]) for each in more)]
    found = check.examine(workflow([start_node(), node, *more], edges)).problems
    return {(problem.severity, problem.code, problem.pointer) for problem in found}


@pytest.mark.parametrize(
    "node",
    [
        call("it"),
        call("it", nodeIdentifier="begin", inputs={"n": 1}, onFailure="continue", timeoutSeconds=86_400),
        call("it", inputs="{{ .outputs.trigger }}"),
        call("it", items=[1, 2], inputs={"n": "{{ .item.n }}", "at": "{{ .index }}", "{{ .item.k }}": 1}),
        call("it", items="{{ [.workflowRun.identifier] }}", concurrency=100, onItemFailure="continue"),
    ],
)
def test_what_is_right_is_not_warned_about(node: Any) -> None:
    after = webhook("after", body={"n": "{{ .outputs.it.failed }}" if "items" in node["config"] else 1})
    assert problems(node, after) == set()


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (call("it", workflow="flow"), {("warning", "recursive-workflow", C + "/workflowIdentifier")}),
        (call("it", workflow="a b"), {("error", "bad-identifier", C + "/workflowIdentifier")}),
        (call("it", workflow="{{ .x }}"), {("error", "bad-identifier", C + "/workflowIdentifier")}),
        (call("it", inputs=[1]), {("error", "wrong-type", C + "/inputs")}),
        (call("it", inputs={"n": "{{ .item }}"}), {("warning", "unknown-root", C + "/inputs/n")}),
        (call("it", items="{{ .item }}"), {("warning", "unknown-root", C + "/items")}),
        (call("it", items={"a": 1}), {("error", "wrong-type", C + "/items")}),
        (call("it", items=[1], concurrency=0), {("error", "out-of-range", C + "/concurrency")}),
        (
            call("it", items=[1], concurrency=limits.CONCURRENCY + 1),
            {("error", "out-of-range", C + "/concurrency")},
        ),
        (call("it", items=[1], onItemFailure="retry"), {("error", "unknown-value", C + "/onItemFailure")}),
        (call("it", concurrency=3), {("warning", "unknown-field", C + "/concurrency")}),
    ],
)
def test_every_fault_is_named_at_its_place(node: Any, expected: set[tuple[str, str, str]]) -> None:
    assert problems(node) == expected


@pytest.mark.parametrize("read", ["{{ .outputs.it.output }}", "{{ .outputs.it.response.data }}"])
def test_reading_what_such_a_node_does_not_give_is_warned_of(read: str) -> None:
    found = problems(call("it"), webhook("after", body={"x": read}))
    assert found == {("warning", "unknown-path", "/nodes/2/config/body/x")}
