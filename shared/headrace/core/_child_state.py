"""What events about child runs do to the state of the node run that started them."""

from dataclasses import replace

from headrace.core._event_types import ChildCompleted, ChildrenStarted
from headrace.core.run import MAX_FAILURES, Children, NodeRun


def after_starts(node: NodeRun, event: ChildrenStarted) -> Children:
    """The next items have been started."""
    children = _of(node)
    started = children.started + event.count
    running = (*children.running, *range(children.started, started))
    return replace(children, started=started, running=running, items=children.items[event.count :])


def after_child(node: NodeRun, event: ChildCompleted) -> Children:
    """An item is done; one that could not be started counts as started too."""
    children = _of(node)
    if event.index == children.started:
        children = replace(children, started=children.started + 1, items=children.items[1:])
    children = replace(children, running=tuple(index for index in children.running if index != event.index))
    if event.result != "SUCCESS":
        failures = (*children.failures, (event.index, event.error or ""))[:MAX_FAILURES]
        return replace(children, failed=children.failed + 1, failures=failures)
    if event.omitted:
        return replace(children, succeeded=children.succeeded + 1, results=None, result_bytes=0)
    if children.results is None:
        return replace(children, succeeded=children.succeeded + 1)
    return replace(
        children, succeeded=children.succeeded + 1, results=(*children.results, (event.index, event.outputs)),
        result_bytes=children.result_bytes + event.size,
    )  # fmt: skip


def at_the_end(children: Children | None) -> Children | None:
    """What stays when the node run is over: the counts and the first failures. The results are in its output."""
    if children is None:
        return None
    return Children(children.total, (), children.started, (), children.succeeded, children.failed, children.failures)


def _of(node: NodeRun) -> Children:
    assert node.children is not None, f"node run {node.id} starts child runs"
    return node.children
