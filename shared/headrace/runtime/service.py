"""A service as a process of its own: the order of its start, and the order of its end.

Start: the door opens (alive, not ready) → what the service depends on is connected, one after the other, waiting as
long as it takes → what `headrace init` makes is looked for → the service's tasks begin → ready.

End, on SIGTERM or SIGINT: not ready → the service takes no more, finishes what is in flight, commits, leaves its groups
→ its remaining tasks end → connections close in the opposite order → the door closes. A second signal ends the process
at once; so does kill -9, and nothing is lost by either: work that was not finished is delivered again.

What goes wrong is classed by what whoever supervises the process should do: what may pass by itself is waited for, and
said in the log; what a person must mend ends the process before it took any work (REFUSED); a task that died, of a bug
or because it cannot go on, ends it with FAILED, and starting it again is right.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog

from headrace.core.errors import HeadraceError
from headrace.ports.errors import UnavailableError
from headrace.runtime import process
from headrace.runtime.backoff import Backoff
from headrace.runtime.logs import configure_logs
from headrace.runtime.readiness import Check, Readiness
from headrace.runtime.settings import ServiceSettings, load
from headrace.runtime.tasks import Tasks

OK = 0
FAILED = 1
"""A task died, or work in flight was given up at the end: the log says which."""
REFUSED = 2
"""The service did not start, and will not until somebody changes a setting or what it depends on."""

_CLOSE_SECONDS = 5.0

_log = structlog.get_logger("headrace.service")


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something outside without which a service cannot work.

    `connect` may raise UnavailableError: it is called again until it returns. Any other HeadraceError ends the start.
    """

    name: str
    connect: Callable[[], Awaitable[object]]
    check: Check
    close: Callable[[], Awaitable[object]]


class Door(Protocol):
    """Where the process answers probes, from the very beginning to the very end."""

    @property
    def url(self) -> str: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Service(Protocol):
    """What a service brings along. Its methods are called once each, in this order."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> ServiceSettings: ...

    @property
    def readiness(self) -> Readiness: ...

    @property
    def door(self) -> Door: ...

    @property
    def dependencies(self) -> Sequence[Dependency]:
        """In the order in which they are connected."""
        ...

    async def check(self) -> None:
        """All is connected: is there what `headrace init` makes? Raises HeadraceError; UnavailableError: ask again."""
        ...

    def start(self, tasks: Tasks) -> None:
        """Begin to work."""
        ...

    async def stop(self) -> None:
        """Take no more, finish what is in flight, commit."""
        ...

    async def close(self) -> None:
        """Close what is no dependency."""
        ...


ServiceSettingsT = TypeVar("ServiceSettingsT", bound=ServiceSettings)


def main(model: type[ServiceSettingsT], make: Callable[[ServiceSettingsT], Service]) -> int:
    """Run a service until it is told to stop. Returns the exit code of the process."""
    try:
        settings = load(model)
        configure_logs(settings.log_level, file=sys.stdout)
        service = make(settings)
    except HeadraceError as error:
        print(f"error: {error}\nhint: docs/configuration.md lists the settings.", file=sys.stderr)
        return REFUSED
    return process.run(serve(service))


async def serve(service: Service) -> int:
    """One life of a service, in the current event loop. Returns the exit code. It takes over SIGTERM and SIGINT."""
    stop = _stop_on_signals(service.name)
    tasks = Tasks()
    failure = tasks.failure()
    code = OK
    connected: list[Dependency] = []
    try:
        await service.door.start()
        _log.info("service starting", service=service.name, url=service.door.url)
        if await _unless(stop, _begin(service, tasks, connected)):
            await asyncio.wait((stop, failure), return_when=asyncio.FIRST_COMPLETED)
            code = await _end(service, tasks, failure)
    except HeadraceError as error:
        _log.error("service cannot start", service=service.name, error=str(error))
        code = REFUSED
    except Exception as error:
        _log.error("service died of a bug", service=service.name, exc_info=error)
        code = FAILED
    finally:
        stop.cancel()
        if not await _close(service, tasks, connected):
            code = code or FAILED
    _log.info("service ended", service=service.name, exit_code=code)
    return code


async def _begin(service: Service, tasks: Tasks, connected: list[Dependency]) -> None:
    for dependency in service.dependencies:
        service.readiness.reason = f"it is waiting for {dependency.name}"
        connected.append(dependency)  # also when this fails half-way: closing is harmless then
        await _patiently(service, f"waiting for {dependency.name}", dependency.connect)
    service.readiness.reason = "it is looking for topics and indexes"
    await _patiently(service, "looking for topics and indexes", service.check)
    for dependency in service.dependencies:
        service.readiness.add(dependency.name, dependency.check)
    service.start(tasks)
    process.settle()
    service.readiness.reason = None
    _log.info("service started", service=service.name, url=service.door.url)


async def _patiently(service: Service, doing: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do it again and again while something is unavailable, and say so."""
    backoff = Backoff(first=0.25)
    while True:
        try:
            await work()
        except UnavailableError as error:
            delay = backoff.next()
            _log.warning(doing, service=service.name, error=str(error), next_try_seconds=delay)
            await asyncio.sleep(delay)
        else:
            return


async def _unless(stop: asyncio.Future[None], work: Coroutine[Any, Any, None]) -> bool:
    """Whether `work` was done before it was time to stop."""
    task = asyncio.create_task(work)
    await asyncio.wait((stop, task), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return False
    await task
    return True


async def _end(service: Service, tasks: Tasks, failure: asyncio.Future[BaseException]) -> int:
    """Stop the service in time; the exit code so far."""
    service.readiness.reason = "it is stopping"
    if failure.done():
        error = failure.result()
        if isinstance(error, HeadraceError):
            _log.error("service cannot go on", service=service.name, error=str(error))
        else:
            _log.error("service ends because of a bug", service=service.name, error=repr(error))
    else:
        _log.info("service stopping", service=service.name)
    limit = service.settings.stop_seconds
    try:
        async with asyncio.timeout(limit):
            await service.stop()
    except TimeoutError:
        _log.error("work in flight was given up; it will be delivered again", service=service.name, seconds=limit)
        return FAILED
    except Exception as error:  # the rest is still to be closed
        _log.error("stopping failed", service=service.name, exc_info=error)
        return FAILED
    return FAILED if failure.done() else OK


async def _close(service: Service, tasks: Tasks, connected: Sequence[Dependency]) -> bool:
    """Close everything, each thing for itself; whether all went well and in time."""
    well = True
    closings: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("tasks", tasks.stop),
        (service.name, service.close),
        *((dependency.name, dependency.close) for dependency in reversed(connected)),
        ("door", service.door.stop),
    ]
    for name, close in closings:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS / len(closings) if well else 0.5):
                await close()
        except Exception as error:
            _log.error("closing failed", service=service.name, what=name, error=repr(error))
            well = False
    return well


def _stop_on_signals(name: str) -> asyncio.Future[None]:
    """A future that is done with the first SIGTERM or SIGINT. The second one ends the process then and there."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if stop.done():
            _log.warning("service ends at once", service=name, signal=number.name)
            os._exit(128 + number)
        stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    return stop
