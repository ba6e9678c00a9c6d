"""What `headrace dev` and `headrace receiver` run: a server in this process until it is told to stop."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from headrace.adapters.clock import SystemClock
from headrace.core.errors import HeadraceError
from headrace.runtime import process
from headrace.runtime.logs import configure_logs
from headrace_cli import credentials, words
from headrace_cli.credentials import Credentials
from headrace_cli.demo_receiver import Desk, Received, Receiver
from headrace_cli.errors import UsageError
from headrace_cli.session import Session
from headrace_dev import settings as dev_settings
from headrace_dev.app import Engine, run_until_signalled
from headrace_dev.settings import DevSettings


def settings(
    host: str | None, port: int | None, data: str | None, memory: bool, networks: Sequence[str] | None
) -> DevSettings:
    """The settings of the options, over those of the environment. Raises UsageError."""
    given = {"host": host, "port": port, "data": Path(data) if data else None}
    try:
        loaded = dev_settings.load(**given)
    except HeadraceError as error:
        raise UsageError(str(error), "docs/configuration.md lists the settings.") from None
    if memory:
        loaded = loaded.model_copy(update={"data": None})
    if networks:
        allowed = (*loaded.egress.allowed_networks, *networks)
        loaded = loaded.model_copy(update={"egress": loaded.egress.model_copy(update={"allowed_networks": allowed})})
    return loaded


async def serve(session: Session, chosen: DevSettings) -> None:
    """Run the engine until a signal comes. Raises HeadraceError when it cannot start."""
    configure_logs(chosen.log_level)
    engine = Engine(chosen)
    await engine.start()
    process.settle()
    _print_start(session, engine, _save_credentials(session, engine))
    await run_until_signalled(engine)
    session.err.print("Stopped.")


def _save_credentials(session: Session, engine: Engine) -> Path | None:
    """Let the commands find the keys. A home folder that cannot be written to does not keep the engine from running."""
    keys = Credentials(engine.credentials.client_id, engine.credentials.client_secret)
    try:
        return credentials.save(engine.api_url, keys)
    except UsageError as error:
        session.err.print(f"warning: {error.message}", style="yellow", soft_wrap=True)
        return None


def _print_start(session: Session, engine: Engine, file: Path | None) -> None:
    url, data = engine.api_url, engine.settings.data
    kept = f"in {data}" if data is not None else "in memory: all is forgotten at the end (--data DIR keeps it)"
    networks = engine.settings.egress.allowed_networks
    if session.json:
        session.print_json({"url": url, "data": None if data is None else str(data), "credentials": file and str(file)})
        return
    rows = [
        ("API", url),
        ("Swagger UI", f"{url}/"),
        ("Runs and workflows", kept),
        ("Credentials", f"{file} (the commands find them there)" if file else "nowhere; see the warning"),
        (
            "May call",
            "public addresses" + (f" and {', '.join(networks)}" if networks else "; more with --allow-network"),
        ),
    ]
    session.out.print("Headrace is running. Ctrl+C stops it.", style="bold")
    for name, value in rows:
        session.out.print(f"  {name:<19} {value}", soft_wrap=True)


async def receive(session: Session, port: int, secret: str | None) -> None:
    """Run the examples' receiver until a signal comes, and print each request. Raises UsageError."""
    clock = SystemClock()
    desk = Desk(secret or "", lambda: clock.now() / 1000)
    receiver = Receiver(desk, lambda record: _print_received(session, record, checked=secret is not None))
    try:
        await receiver.start(port)
    except OSError as error:
        raise UsageError(f"Cannot listen on port {port}: {error.strerror}.", "Choose another with --port.") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    session.out.print(f"Receiving at http://127.0.0.1:{receiver.port}. Ctrl+C stops it.", soft_wrap=True)
    await stop.wait()
    await receiver.stop()


def _print_received(session: Session, record: Received, checked: bool) -> None:
    signature = ("  signature ✓" if record.signed else "  signature ✗") if checked else ""
    line = f"{record.method} {record.path} → {record.status}{signature}"
    session.out.print(f"{line}  {words.compact(record.body)}", soft_wrap=True)
