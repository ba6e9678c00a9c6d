"""The commands against a real engine in this process: what they say is what is so."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from headrace_cli import dev_server, examples
from headrace_cli.demo_receiver import Desk, Receiver
from headrace_cli.engine_thread import LoopThread
from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings, Egress
from tests.cli.conftest import Shell

pytestmark = pytest.mark.xdist_group("engine")


@dataclass
class World:
    """A running engine with the example workflows' receiver beside it."""

    engine: Engine
    receiver: Receiver
    folder: Path
    loop: LoopThread

    def example(self, name: str) -> str:
        """A file with an example workflow that calls this world's receiver."""
        file = self.folder / f"{name}.json"
        text = examples.workflow(name).read_text(encoding="utf-8")
        file.write_text(examples.with_receiver(text, self.receiver.port), encoding="utf-8")
        return str(file)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("engine")

    async def start() -> tuple[Engine, Receiver]:
        engine = Engine(DevSettings(port=0, egress=Egress(allowed_networks=("127.0.0.0/8",)), log_level="ERROR"))
        await engine.start()
        receiver = Receiver(Desk(engine.signing_secret, lambda: engine.clock.now() / 1000))
        await receiver.start()
        return engine, receiver

    with structlog.testing.capture_logs(), LoopThread() as loop:
        engine, receiver = loop.run(start())
        yield World(engine, receiver, folder, loop)
        loop.run(engine.stop())
        loop.run(receiver.stop())


@pytest.fixture
def world(running: World, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("HEADRACE_URL", running.engine.api_url)
    monkeypatch.setenv("HEADRACE_CLIENT_ID", running.engine.credentials.client_id)
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", running.engine.credentials.client_secret)
    return running


def test_applying_creates_then_changes_nothing_then_updates(world: World, shell: Shell) -> None:
    file = Path(world.example("sandbox-expiry"))

    assert shell("apply", "-f", str(file)).out == "✓ sandbox-expiry created\n"
    assert shell("apply", "-f", str(file)).out == "· sandbox-expiry unchanged (v1)\n"

    file.write_text(file.read_text(encoding="utf-8").replace("A sandbox ran out", "Time is up"), encoding="utf-8")
    assert shell("apply", "-f", str(file)).out == "✓ sandbox-expiry updated to v2\n"
    assert len(json.loads(shell("workflows", "sandbox-expiry", "--versions", "-o", "json").out)) == 2
    assert "sandbox-expiry" in shell("workflows").out


def test_what_the_server_refuses_is_shown_as_validate_shows_it(world: World, shell: Shell) -> None:
    broken = str(Path(__file__).parent / "golden" / "broken.json")

    applied, validated = shell("apply", "-f", broken), shell("validate", broken)

    assert applied.code == validated.code == 1
    assert applied.out.splitlines()[:-1] == validated.out.splitlines()[:-1]


def test_a_run_is_started_followed_shown_and_listed(world: World, shell: Shell) -> None:
    shell("apply", "-f", world.example("restart-service"))

    ended = shell(
        "run",
        "restart-service",
        "-i",
        "service=billing",
        "-i",
        "reason=a test",
        "-i",
        "tier=gold",
        "-w",
        "--timeout",
        "20",
    )

    assert ended.code == 0
    assert "✓ SUCCESS  restart-service v1" in ended.out
    assert "→ gently" in ended.out
    assert '= {"ticket": "OPS-' in ended.out
    listed = json.loads(shell("runs", "--workflow", "restart-service", "-o", "json").out)
    run_id = listed[0]["identifier"]
    assert run_id in shell("show", run_id).out
    assert "/services/billing/drain answered 200" in shell("logs", run_id).out
    followed = shell("logs", run_id, "-f").out
    assert followed.splitlines() == shell("logs", run_id).out.splitlines()
    node_run = next(node for node in listed[0]["nodeRuns"] if node["node"]["identifier"] == "drain")
    assert "/drain answered 200" in shell("logs", node_run["identifier"]).out


def test_the_same_idempotency_key_gives_the_same_run(world: World, shell: Shell) -> None:
    shell("apply", "-f", world.example("restart-service"))
    arguments = ["run", "restart-service", "-i", "service=a", "-i", "reason=test", "--idempotency-key", "once"]

    assert shell(*arguments).out == shell(*arguments).out


def test_wrong_inputs_are_refused_with_pointers(world: World, shell: Shell) -> None:
    shell("apply", "-f", world.example("restart-service"))

    ended = shell("run", "restart-service", "-i", "service=Not A Name")

    assert ended.code == 1
    assert "service" in ended.err
    assert "reason" in ended.err


def test_events_start_runs_and_explain_says_why_others_do_not(world: World, shell: Shell) -> None:
    shell("apply", "-f", world.example("tier-change"))
    file = str(examples.events("service-changes"))

    tried = shell("events", "try", file)
    sent = json.loads(shell("events", "send", file, "--follow", "--timeout", "20", "-o", "json").out)

    assert tried.out.count("✓ fires") == 2
    assert [len(entry["runIds"]) for entry in sent] == [1, 1, 0, 0, 0, 0, 0]
    explained = shell("explain", sent[2]["eventId"]).out
    assert '.diff.before.properties.tier != "gold"  (tier was "gold")' in explained
    assert "✗ does not fire" in explained
    assert shell("explain", sent[0]["eventId"]).out.count(f"run {sent[0]['runIds'][0]}") == 1
    assert shell("explain", "no-such-event").code == 5
    assert shell("show", sent[0]["runIds"][0], "-f", "--timeout", "20").code == 0


def test_a_run_that_waits_can_be_cancelled_and_then_not_again(world: World, shell: Shell, tmp_path: Path) -> None:
    waiting = {
        "identifier": "wait-for-report",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "ask", "config": {
                "type": "WEBHOOK", "url": f"http://127.0.0.1:{world.receiver.port}/notes", "synchronized": False}},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "ask"}],
    }  # fmt: skip
    (tmp_path / "w.json").write_text(json.dumps(waiting))
    shell("apply", "-f", str(tmp_path / "w.json"))
    run_id = shell("run", "wait-for-report").out.strip()
    deadline = time.monotonic() + 5
    while "◷ WAITING" not in (shown := shell("show", run_id).out) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "waits for a report" in shown

    assert shell("cancel", run_id, "--force").code == 0
    assert shell("show", run_id, "-f", "--timeout", "20").code == 7
    assert shell("cancel", run_id).code == 6


def test_wrong_credentials_and_none_are_told_apart(world: World, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", "wrong")
    assert shell("runs").code == 4

    monkeypatch.delenv("HEADRACE_CLIENT_ID")
    monkeypatch.delenv("HEADRACE_CLIENT_SECRET")
    nobody = shell("runs")
    assert nobody.code == 4
    assert "HEADRACE_CLIENT_ID" in nobody.err


def test_following_survives_a_connection_that_breaks(
    world: World, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("apply", "-f", world.example("tier-change"))
    proxy = BreakingProxy(world.engine.api_url, breaks=2)
    port = world.loop.run(proxy.start())
    event = json.dumps(json.loads(examples.events("service-changes").read_text(encoding="utf-8"))[0])
    world.receiver.desk = Desk(world.engine.signing_secret, lambda: world.engine.clock.now() / 1000)
    (sent,) = json.loads(shell("events", "send", "-", "-o", "json", stdin=event).out)

    ended = shell("show", sent["runIds"][0], "-f", "--timeout", "20", "--url", f"http://127.0.0.1:{port}")

    world.loop.run(proxy.stop())
    assert ended.code == 0, ended.err
    assert ended.out.count("✓ SUCCESS  tier-change") == 1
    assert proxy.broken >= 1


class BreakingProxy:
    """A relay to the API that cuts the first streams after a few bytes."""

    def __init__(self, url: str, breaks: int) -> None:
        self._port = int(url.rsplit(":", 1)[1])
        self._breaks = breaks
        self._relays: set[asyncio.Task[None]] = set()
        self.broken = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relays.add(asyncio.create_task(self._relay(reader, writer)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        upward = asyncio.create_task(self._copy(reader, far_writer))
        try:
            while chunk := await far_reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
                if b"event: run" in chunk and self.broken < self._breaks:
                    self.broken += 1
                    break
        finally:
            upward.cancel()
            for end in (writer, far_writer):
                end.close()
            await asyncio.gather(upward, writer.wait_closed(), far_writer.wait_closed(), return_exceptions=True)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_dev_prints_where_everything_is_and_remembers_what_it_was_told_to_keep(home: Path) -> None:
    """Two servers, one after the other, on one data folder, with the commands of a second terminal."""
    port = free_port()
    program = [sys.executable, "-c", "import sys; from headrace_cli.main import main; sys.exit(main())"]
    environment = {**os.environ, "HEADRACE_URL": f"http://127.0.0.1:{port}"}
    command = [*program, "dev", "--port", str(port), "--data", str(home / "data")]

    @contextmanager
    def serving() -> Iterator[list[str]]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                assert server.stdout is not None
                yield [server.stdout.readline().rstrip() for _ in range(6)]
            finally:
                server.send_signal(signal.SIGINT)
                assert server.wait(timeout=20) == 0

    def call(*arguments: str) -> str:
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, env=environment, check=True)
        return done.stdout

    with serving() as said:
        assert said == [
            "Headrace is running. Ctrl+C stops it.",
            f"  API                 http://127.0.0.1:{port}",
            f"  Swagger UI          http://127.0.0.1:{port}/",
            f"  Runs and workflows  in {home / 'data'}",
            f"  Credentials         {home / '.headrace' / 'credentials.json'} (the commands find them there)",
            "  May call            public addresses; more with --allow-network",
        ]
        assert "created" in call("apply", "-f", str(examples.workflow("restart-service")))
    with serving():
        assert "restart-service" in call("workflows")


def test_dev_options_win_over_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_PORT", "1234")
    monkeypatch.setenv("HEADRACE_DATA", "somewhere")

    given = dev_server.settings(None, None, None, memory=False, networks=None)
    over = dev_server.settings("0.0.0.0", 0, "there", memory=False, networks=["10.0.0.0/8"])
    nothing = dev_server.settings(None, None, None, memory=True, networks=None)

    assert (given.port, given.data, given.egress.allowed_networks) == (1234, Path("somewhere"), ())
    assert (over.host, over.port, over.data) == ("0.0.0.0", 0, Path("there"))
    assert over.egress.allowed_networks == ("10.0.0.0/8",)
    assert nothing.data is None


def test_dev_says_so_when_its_port_is_taken_or_a_setting_is_unknown(
    world: World, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_server, "configure_logs", lambda level: None)
    taken = shell("dev", "--port", world.engine.api_url.rsplit(":", 1)[1])
    monkeypatch.setenv("HEADRACE_PROT", "8080")
    unknown = shell("dev", "--port", "0")

    assert taken.code == 1
    assert "Traceback" not in taken.err
    assert unknown.code == 2
    assert "HEADRACE_PROT" in unknown.err
