"""Following one run as server-sent events: a snapshot each time it changes."""

from collections.abc import AsyncIterator

from headrace.core.run import Run
from headrace_api import presenters
from headrace_api.context import Context
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError
from headrace_api.responses import dump
from headrace_api.turns import gate_of

_RETRY = b"retry: 1000\n\n"
_KEEP_ALIVE = b": still here\n\n"


def open_stream(context: Context, principal: Principal, run: Run, last_seq: int) -> AsyncIterator[bytes]:
    """The events of a run beyond `last_seq`. Raises ApiError 503 when too many streams are open."""
    if context.streams >= context.settings.stream.streams:
        message = f"{context.streams} streams are open; no more fit into this process."
        raise ApiError("unavailable", message, headers={"retry-after": "5"})
    return _events(context, principal, run, last_seq)


async def _events(context: Context, principal: Principal, run: Run, last_seq: int) -> AsyncIterator[bytes]:
    context.streams += 1
    context.metrics.streams.inc()
    try:
        yield _RETRY
        async for snapshot in _snapshots(context, principal, run.id, last_seq):
            yield _KEEP_ALIVE if snapshot is None else await _event(context, snapshot)
    finally:
        context.streams -= 1
        context.metrics.streams.dec()


async def _snapshots(context: Context, principal: Principal, run_id: str, last_seq: int) -> AsyncIterator[Run | None]:
    """The run each time its `seq` has grown, None when it is time for a sign of life.

    Ends with the run, with the service, and with the caller's token.
    """
    limits, clock = context.settings.stream, context.ports.clock
    quiet_since = clock.monotonic()
    async with context.watch.following(run_id) as following:
        while not context.watch.closed and clock.now() < principal.expires_at * 1000:
            stored = (await context.ports.runs.load([run_id])).get(run_id)
            if stored is None:
                return
            if stored.run.seq > last_seq:
                last_seq, quiet_since = stored.run.seq, clock.monotonic()
                yield stored.run
            if stored.run.is_over:
                return
            await following.changed(min(limits.recheck_seconds, limits.keep_alive_seconds))
            if clock.monotonic() - quiet_since >= limits.keep_alive_seconds:
                quiet_since = clock.monotonic()
                yield None


async def _event(context: Context, run: Run) -> bytes:
    graph, gate = await context.definitions.graph_of(run), await gate_of(run, context.ports.gates)
    shown = presenters.run(run, graph, gate=gate)
    return b"id: %d\nevent: run\ndata: %s\n\n" % (run.seq, dump(shown))
