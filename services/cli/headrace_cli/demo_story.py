"""The story that `headrace demo` tells: a real engine, a real receiver, an example workflow, and seven events.

Everything goes through the API, as a user's own tools would do it. The engine keeps its state in a SQLite file in a
temporary folder and listens, as the receiver does, on a free port.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.text import Text

from headrace.adapters.clock import SystemClock
from headrace.runtime.logs import configure_logs
from headrace_cli import (
    applying,
    demo_checks,
    events_file,
    examples,
    explanation,
    following,
    waiting,
    watching,
    words,
)
from headrace_cli.client import Client, JsonDict
from headrace_cli.credentials import Credentials
from headrace_cli.demo_checks import Check, Outcome
from headrace_cli.demo_receiver import Desk, Receiver
from headrace_cli.documents import WorkflowFile
from headrace_cli.engine_thread import LoopThread
from headrace_cli.errors import CommandError, ExitCode
from headrace_cli.session import Session
from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings, Egress

_PATIENCE = following.Patience(whole_seconds=10)
_NEXT = (
    ("headrace dev --allow-network 127.0.0.0/8", "an engine to keep; in a second terminal: headrace receiver"),
    ("headrace apply -f examples/workflows", "the examples; then: headrace run restart-service -i service=billing "
     "-i reason=test -w"),
    ("headrace events send examples/events/service-changes.json --follow", "these events; then: headrace explain "
     "EVENT_ID"),
)  # fmt: skip


@dataclass
class _Stage:
    """What plays: the engine's address and keys, the receiver, and how long it has taken so far."""

    url: str
    credentials: Credentials
    receiver: Receiver
    begun: float
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


def tell(session: Session, broken: bool) -> int:
    """The whole demo. Returns 0 only if the receiver got exactly what it should."""
    configure_logs("ERROR")
    events = events_file.read(str(examples.events("service-changes")))
    with _stage(session, broken) as stage, Client(stage.url, stage.credentials) as client:
        _apply(session, stage, client)
        identifiers = _publish(session, client, events)
        explanations = [_explained(client, event_id) for event_id in identifiers]
        for event, explained in zip(events, explanations, strict=True):
            results = [_watch(session, client, event, run_id) for run_id in explained.run_ids]
            stage.outcomes.append(Outcome(words.subject(event), tuple(results)))
        _explain(session, explanations)
        checks = demo_checks.outcome_checks(stage.outcomes, fired=2)
        checks += demo_checks.receiver_checks(stage.receiver.desk.received, promoted=events[0], noted=events[1])
    return _conclude(session, stage, checks, len(events))


@contextmanager
def _stage(session: Session, broken: bool) -> Iterator[_Stage]:
    begun = time.monotonic()
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="headrace-demo-") as folder, LoopThread() as loop:
        with session.working("Starting an engine"):
            engine = loop.run(_start_engine(Path(folder)))
        receiver = Receiver(Desk(engine.signing_secret, lambda: clock.now() / 1000, broken=broken))
        loop.run(receiver.start())
        keys = Credentials(engine.credentials.client_id, engine.credentials.client_secret)
        stage = _Stage(engine.api_url, keys, receiver, begun)
        _say(session, "engine", "all services in one process, one SQLite file", stage.url)
        _say(session, "receiver", "a real HTTP server; checks every signature", f"http://127.0.0.1:{receiver.port}")
        try:
            yield stage
        finally:
            loop.run(engine.stop())
            loop.run(receiver.stop())


async def _start_engine(folder: Path) -> Engine:
    egress = Egress(allowed_networks=("127.0.0.0/8",))
    engine = Engine(DevSettings(host="127.0.0.1", port=0, data=folder, egress=egress))
    await engine.start()
    return engine


def _apply(session: Session, stage: _Stage, client: Client) -> None:
    """The example workflow, with the receiver's port put in."""
    path = examples.workflow("tier-change")
    text = examples.with_receiver(path.read_text(encoding="utf-8"), stage.receiver.port)
    applied = applying.apply(client, WorkflowFile(str(path), text.encode()))
    port = f"port {examples.RECEIVER_PORT} → {stage.receiver.port}"
    _say(session, "apply", f"{applied.identifier} {applied.change}, {port}", "examples/workflows/tier-change.json")


def _publish(session: Session, client: Client, events: list[JsonDict]) -> list[str]:
    identifiers = [client.send_event(event) for event in events]
    _say(session, "publish", f"{len(events)} entity changes", "examples/events/service-changes.json")
    return identifiers


def _explained(client: Client, event_id: str) -> explanation.Explanation:
    found = waiting.explanation_of(client, event_id, patience_seconds=10)
    if found is None:
        raise CommandError(f"The engine did not judge the event {event_id} within 10 s.")
    return found


def _watch(session: Session, client: Client, event: JsonDict, run_id: str) -> str:
    """Show one run from its beginning to its end. Returns its result."""
    stream = following.snapshots(client, run_id, _PATIENCE)
    if session.json:
        return str(watching.last(stream).get("result"))
    session.out.print()
    session.out.print(Text(words.event(event), "bold"), soft_wrap=True)
    return str(watching.draw(session, stream, transitions=False).get("result"))


def _explain(session: Session, explanations: list[explanation.Explanation]) -> None:
    if session.json:
        return
    session.out.print()
    session.out.print("Why did the others not fire?", style="bold")
    for each in explanations:
        if not each.run_ids:
            answer, reason = explanation.short(each)
            session.out.print(f"  {words.event(each.event)}", soft_wrap=True)
            session.out.print(Text(f"      {answer}: ", "yellow").append(reason, "default"), soft_wrap=True)


def _conclude(session: Session, stage: _Stage, checks: list[Check], events: int) -> int:
    """The verdict. Returns the exit code."""
    failed = [check for check in checks if not check.holds]
    code = ExitCode.FAILED if failed else ExitCode.OK
    if session.json:
        listed = [{"claim": check.claim, "holds": check.holds, "detail": check.detail} for check in checks]
        session.print_json({"ok": not failed, "seconds": round(stage.seconds, 3), "checks": listed})
        return code
    session.out.print()
    session.out.print("What did the receiver get?", style="bold")
    for check in checks:
        mark = Text("  ✓ ", "green") if check.holds else Text("  ✗ ", "bold red")
        session.out.print(mark.append(check.claim, ""), soft_wrap=True)
        if not check.holds:
            session.out.print(f"      {check.detail}", style="red", soft_wrap=True)
    runs = sum(len(outcome.results) for outcome in stage.outcomes)
    calls = len(stage.receiver.desk.received)
    counted = f"{events} events, {runs} runs, {calls} calls, {stage.seconds:.1f} s in all"
    session.out.print()
    if failed:
        session.out.print(f"✗ {len(failed)} of {len(checks)} checks failed ({counted}).", style="bold red")
        return code
    session.out.print(f"✓ {counted}.", style="bold green")
    session.out.print()
    session.out.print("Try next:", style="bold")
    for command, what in _NEXT:
        session.out.print(f"  {command}", style="cyan", soft_wrap=True)
        session.out.print(f"      {what}", style="dim", soft_wrap=True)
    return code


def _say(session: Session, what: str, text: str, where: str) -> None:
    if not session.json:
        line = Text("✓ ", "green").append(f"{what:<10}", "bold").append(f"{text:<47} ").append(where, "cyan")
        session.out.print(line, soft_wrap=True)
