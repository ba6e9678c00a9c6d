"""Starting a run (spec 2.1.5): which trigger, may the caller, do the inputs fit, and only then the command."""

import hashlib
from dataclasses import dataclass

import orjson

from headrace.adapters.clock import random_id
from headrace.contracts import codec
from headrace.core import ids
from headrace.core.authoring import inputs
from headrace.core.commands import StartRun
from headrace.core.definition import Definition, Node, SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation, Run
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import WorkflowVersion
from headrace_api import permissions
from headrace_api.bodies import StartRequest
from headrace_api.context import Context
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError, present
from headrace_api.reading import Body
from headrace_api.watch import Following

_FIRST_POLL_SECONDS = 0.01
_LAST_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Started:
    """The run as it is now. `replayed`: an earlier request with the same key started it."""

    run: Run
    replayed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's headers say of it."""
        headers = {"location": f"/v1/workflows/runs/{self.run.id}"}
        if self.replayed:
            headers["idempotent-replayed"] = "true"
        return headers


async def start(
    context: Context,
    principal: Principal,
    version: WorkflowVersion,
    request: StartRequest,
    body: Body,
    key: str | None,
    traceparent: str | None,
) -> Started:
    """Start a run of `version`. Raises ApiError, and UnavailableError when the command may not have been taken."""
    graph = context.definitions.graph(version)
    node, trigger = _trigger(graph, request.node_identifier)
    reason = permissions.why_not_start(principal, trigger.permissions, context.settings.members_start_unrestricted)
    if reason is not None:
        raise ApiError("forbidden", f'You may not start "{node.identifier}" of "{version.identifier}". {reason}')
    if not trigger.published:
        message = f'The trigger "{node.identifier}" of "{version.identifier}" is not published, so nobody can start it.'
        raise ApiError("trigger_unavailable", message)
    values = _checked(trigger, request, body)
    command = _command(context, principal, version, node, values, key, traceparent)
    return await publish(context, command, node.config.type, has_key=key is not None)


async def publish(context: Context, command: StartRun, trigger_type: str, *, has_key: bool) -> Started:
    """Publish the command and wait a while for the run; as it will begin, when it does not appear in time.

    With a key, the run that it started before is the answer. Raises ApiError when that was with another payload, and
    UnavailableError when the command may not have been taken.
    """
    if has_key:
        earlier = await _earlier(context, command)
        if earlier is not None:
            return Started(earlier, replayed=True)
    run = await _publish_and_wait(context, command) or _accepted(command, trigger_type)
    _check_cause(command, run.causation.event_id)
    return Started(run)


def digest(payload: Json) -> str:
    """Tells one payload under an Idempotency-Key from another."""
    written = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(written, digest_size=12).hexdigest()


def _trigger(graph: Definition, name: str | None) -> tuple[Node, SelfServeTrigger]:
    candidates = {node.identifier: node for node in graph.triggers if isinstance(node.config, SelfServeTrigger)}
    names = ", ".join(f'"{candidate}"' for candidate in candidates)
    if not candidates:
        message = f'"{graph.identifier}" has no self-serve trigger; events or a schedule start it.'
        raise ApiError("trigger_unavailable", message)
    if name is None:
        if len(candidates) > 1:
            raise ApiError("trigger_required", f"The workflow has several self-serve triggers: {names}.")
        name = next(iter(candidates))
    node = candidates.get(name)
    if node is None:
        what = "is not a self-serve trigger" if name in graph.nodes else "is not a node"
        message = f'"{name[:100]}" {what} of "{graph.identifier}". It has: {names}.'
        problem = Problem("/nodeIdentifier", "unknown-trigger", message)
        raise ApiError("trigger_unavailable", message, [present(problem)])
    assert isinstance(node.config, SelfServeTrigger)
    return node, node.config


def _checked(trigger: SelfServeTrigger, request: StartRequest, body: Body) -> JsonObject:
    checked = inputs.validate(trigger.user_inputs, request.inputs)
    if not checked.problems:
        return checked.values
    problems = tuple(
        Problem("/inputs" + it.pointer, it.code, it.message, it.hint, it.severity) for it in checked.problems
    )
    rest = f" And {len(problems) - 1} more; see errors." if len(problems) > 1 else ""
    raise ApiError("invalid_inputs", problems[0].message + rest, body.present(problems))


def _command(
    context: Context,
    principal: Principal,
    version: WorkflowVersion,
    node: Node,
    values: JsonObject,
    key: str | None,
    traceparent: str | None,
) -> StartRun:
    """The cause of a run with a key names the payload too, so that another payload under the same key is noticed."""
    if key is None:
        cause = event_id = "start:" + random_id()
    else:
        cause = "key:" + ids.derive(principal.id, key)
        event_id = f"{cause}:{digest(values)}"
    return StartRun(
        run_id=ids.run_id(version.identifier, node.identifier, cause),
        at=context.ports.clock.now(),
        workflow=version.identifier,
        version=version.version,
        trigger=node.identifier,
        output=values,
        created_by=principal.id,
        causation=Causation(event_id, event_id, traceparent=traceparent),
    )


async def _earlier(context: Context, command: StartRun) -> Run | None:
    """The run that this key started before, if it is there already. Raises ApiError when it was another payload."""
    stored = (await context.ports.runs.load([command.run_id])).get(command.run_id)
    if stored is not None:
        _check_cause(command, stored.run.causation.event_id)
        return stored.run
    published = context.recent_keys.get(command.run_id)
    if published is not None:
        _check_cause(command, published)
    context.recent_keys.put(command.run_id, command.causation.event_id)
    return None


def _check_cause(command: StartRun, event_id: str) -> None:
    if command.causation.event_id != event_id:
        message = "This Idempotency-Key was used for another request before. Take a new key for a new run."
        raise ApiError("idempotency_key_reused", message)


async def _publish_and_wait(context: Context, command: StartRun) -> Run | None:
    """Publish the command, then wait for the run to appear; None when it takes longer than the settings allow."""
    async with context.watch.following(command.run_id) as following:
        await context.ports.log.publish([codec.encode_command(command, context.ports.topics)])
        try:
            return await _appeared(context, command.run_id, following)
        except UnavailableError:
            return None  # the command is in the log: the run will come, only we cannot see it now


async def _appeared(context: Context, run_id: str, following: Following) -> Run | None:
    clock = context.ports.clock
    deadline = clock.monotonic() + context.settings.start_wait_seconds
    pause = _FIRST_POLL_SECONDS
    while (left := deadline - clock.monotonic()) > 0:
        # Signals are the usual way; where the log cannot be followed, the pauses grow.
        span = context.settings.stream.recheck_seconds if following.is_signalled else pause
        await following.changed(min(left, span))
        stored = (await context.ports.runs.load([run_id])).get(run_id)
        if stored is not None:
            return stored.run
        pause = min(pause * 2, _LAST_POLL_SECONDS)
    return None


def _accepted(command: StartRun, trigger_type: str) -> Run:
    """The run as it will begin, for when it cannot be shown yet."""
    return Run(
        id=command.run_id,
        workflow=command.workflow,
        version=command.version,
        trigger=command.trigger,
        trigger_type=trigger_type,
        created_by=command.created_by,
        created_at=command.at,
        updated_at=command.at,
        causation=command.causation,
        rerun_of=command.rerun_of,
    )
