"""What the core asks of the invoker: attempts of actions, and polls of those that were accepted."""

from headrace.core import ids
from headrace.core._draft import Draft
from headrace.core.commands import InvokeNode, Origin
from headrace.core.definition import Action
from headrace.core.installations import by_agent
from headrace.core.run import NodeRun, Run


def request(draft: Draft, node_run: NodeRun) -> None:
    """Ask the invoker for the node run's current attempt, or for its current poll."""
    action = draft.plan.nodes[node_run.node].node.config
    assert isinstance(action, Action)
    draft.requests.append(
        InvokeNode(
            id=_request_id(node_run),
            run_id=draft.run.id,
            workflow=draft.plan.workflow,
            version=draft.plan.version,
            node=node_run.node,
            node_run_id=node_run.id,
            attempt=node_run.attempt,
            type=node_run.type,
            config=node_run.config,
            synchronized=action.synchronized,
            on_timeout=action.on_timeout,
            timeout_seconds=action.timeout_seconds,
            delivery=action.delivery,
            causation=draft.run.causation,
            poll=node_run.poll,
            poll_state=node_run.poll_state,
            origin=_origin(draft.run, node_run) if _is_for_others(node_run) else None,
        )
    )


def _is_for_others(node_run: NodeRun) -> bool:
    """Whether who performs it is to know who started the run: only the engine's own calls do without."""
    return node_run.type != "WEBHOOK" or by_agent(node_run.type, node_run.config)


def _request_id(node_run: NodeRun) -> str:
    if node_run.poll:
        return ids.poll_id(node_run.id, node_run.attempt, node_run.poll)
    return ids.attempt_id(node_run.id, node_run.attempt)


def _origin(run: Run, node_run: NodeRun) -> Origin:
    return Origin(run.created_by, run.trigger_type, run.created_at, node_run.created_at)
