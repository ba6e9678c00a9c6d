"""`make up`: the production shape on this machine. Kafka, MongoDB, the four services and a receiver, a process each.

The servers are those of `make servers`: given by `KAFKA_BOOTSTRAP_SERVERS` and `MONGODB_URI`, or started here. Then
comes what an operator would do: `headrace init`, the services, the example workflows. A service that dies is started
again. Variables that begin with `HEADRACE_` are passed on to the services; secrets that are not set are made.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from headrace_cli import credentials, examples
from headrace_cli.credentials import Credentials
from headrace_cli.errors import CommandError
from headrace_dev import keys
from tools.servers import source
from tools.servers.errors import ServerError
from tools.servers.process import HOST, free_port
from tools.servers.source import Running

PROGRAM = Path(sys.executable).with_name("headrace")
EXAMPLES = ("restart-service", "sandbox-expiry", "tier-change")
COLOURS = {"trigger": 36, "orchestrator": 33, "invoker": 35, "api": 32, "receiver": 34}
STOPPING_ORDER = ("api", "trigger", "invoker", "orchestrator", "receiver")
STOP_SECONDS = 35.0
READY_SECONDS = 60.0
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0
STEADY_SECONDS = 30.0
"""A process that lived so long did not die of its start: the next delay is the first one again."""
LOOKS_EVERY_SECONDS = 0.5
PR_SET_PDEATHSIG = 1
WIDTH = max(len(name) for name in COLOURS)


class UpError(Exception):
    """The house cannot be started or kept; the message says why."""


def say(name: str, text: str) -> None:
    """One line on standard output, with the name of who says it."""
    colour = COLOURS.get(name, 0) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else 0
    prefix = f"{name:<{WIDTH}} │"
    print(f"\033[{colour}m{prefix}\033[0m {text}" if colour else f"{prefix} {text}", flush=True)


def rendered(line: str) -> str:
    """A line of a service's log for people; any other line as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    time = str(entry.pop("timestamp", ""))[11:19]
    level, event, trace = str(entry.pop("level", "")), entry.pop("event"), entry.pop("exception", None)
    entry.pop("service", None)
    facts = "  ".join(f"{name}={value}" for name, value in entry.items())
    return f"{time} {level:<7} {event}  {facts}".rstrip() + (f"\n{trace}" if trace else "")


def end_with_parent() -> None:
    """In a child: get SIGTERM when the process that started it is gone, however that ended (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process of ours, kept alive until it is stopped."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = arguments
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, and again whenever it dies."""
        self._keeping = asyncio.create_task(self._keep(), name=self.name)

    async def stop(self) -> None:
        """SIGTERM; SIGKILL when it takes too long."""
        self._stopping = True
        if self._keeping is None:
            return
        if self._process is None or self._process.returncode is not None:
            self._keeping.cancel()
        else:
            self._process.terminate()
        done, _ = await asyncio.wait([self._keeping], timeout=STOP_SECONDS)
        if not done:
            say(self.name, f"did not end within {STOP_SECONDS:g} s: killed")
            self.kill()
            await asyncio.wait([self._keeping])

    def kill(self) -> None:
        """End it at once."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def once(self) -> int:
        """Run it to its end; the exit code."""
        self._process = await asyncio.create_subprocess_exec(
            str(PROGRAM), *self._arguments, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 20,
            # a session of its own: Ctrl-C is for us, and we stop the others in order
            start_new_session=True, preexec_fn=end_with_parent,
        )  # fmt: skip
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            say(self.name, rendered(line.decode(errors="replace").rstrip()))
        return await self._process.wait()

    async def _keep(self) -> None:
        delay = FIRST_DELAY_SECONDS
        clock = asyncio.get_running_loop()
        while not self._stopping:
            began = clock.time()
            code = await self.once()
            if self._stopping:
                return
            if clock.time() - began > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            say(self.name, f"{how}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)


class House:
    """Everything but Kafka and MongoDB."""

    def __init__(self, servers: Mapping[str, str], folder: Path, port: int) -> None:
        self._folder = folder
        self._keys = keys.load_or_make(folder)
        self._receiver_port = examples.RECEIVER_PORT if is_free(examples.RECEIVER_PORT) else free_port()
        self._ports = {"api": port or free_port(), **{it: free_port() for it in ("trigger", "orchestrator", "invoker")}}
        secrets = {
            "HEADRACE_TOKEN_SECRET": self._keys.token_secret,
            "HEADRACE_SIGNING_SECRET": self._keys.signing_secret,
            "HEADRACE_ADMIN__CLIENT_ID": self._keys.client_id,
            "HEADRACE_ADMIN__CLIENT_SECRET": self._keys.client_secret,
            "HEADRACE_EGRESS__ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        own = {variable for variable in os.environ if variable in credentials_variables()}
        kept = {name: value for name, value in os.environ.items() if name not in own}
        self._environment = {**secrets, **kept, **servers, "PYTHONUNBUFFERED": "1"}
        self._children: dict[str, Child] = {}

    @property
    def _admin(self) -> Credentials:
        chosen = self._environment
        return Credentials(chosen["HEADRACE_ADMIN__CLIENT_ID"], chosen["HEADRACE_ADMIN__CLIENT_SECRET"])

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://{HOST}:{self._ports['api']}"

    async def start(self) -> None:
        """Topics, indexes, services, workflows. Raises UpError."""
        await self._command("init", "init")
        for name in ("trigger", "orchestrator", "invoker", "api"):
            more = {"HEADRACE_HOST": HOST, "HEADRACE_PORT": str(self._ports[name])}
            self._children[name] = Child(name, [name], {**self._environment, **more})
        receiver = ["receiver", "--port", str(self._receiver_port)]
        self._children["receiver"] = Child("receiver", receiver, self._environment)
        for child in self._children.values():
            child.start()
        await asyncio.gather(*(self._ready(name) for name in self._ports))
        await self._command("apply", "--url", self.url, "apply", "--file", str(self._examples()), signed_in=True)

    async def stop(self) -> None:
        """In the order in which work flows."""
        for name in STOPPING_ORDER:
            if name in self._children:
                await self._children[name].stop()

    def kill(self) -> None:
        """End everything at once."""
        for child in self._children.values():
            child.kill()

    def introduce(self) -> None:
        """What there is, and what to try."""
        admin = Credentials(
            self._environment["HEADRACE_ADMIN__CLIENT_ID"], self._environment["HEADRACE_ADMIN__CLIENT_SECRET"]
        )
        try:
            kept = f"{credentials.save(self.url, admin)} (the commands find them there)"
        except CommandError as error:
            kept = f"not saved: {error}"
        at = "" if self._ports["api"] == 8080 else f"--url {self.url} "
        print(f"""
Headrace is running: four services on Kafka and MongoDB. Ctrl-C stops all of it.
  API, Swagger UI    {self.url}/
  Client             {admin.client_id}, secret {admin.client_secret}
  Credentials        {kept}
  Receiver           http://{HOST}:{self._receiver_port}
  Health             {'  '.join(f'{name} http://{HOST}:{port}/healthz/ready' for name, port in self._ports.items())}

Try this in another terminal:
  .venv/bin/headrace {at}run restart-service -i service=billing -i reason=test -w
  .venv/bin/headrace {at}events send examples/events/service-changes.json --follow
  .venv/bin/headrace {at}runs
""", flush=True)  # fmt: skip

    async def _command(self, name: str, *arguments: str, signed_in: bool = False) -> None:
        more = {}
        if signed_in:
            more = {
                credentials.ID_VARIABLE: self._admin.client_id,
                credentials.SECRET_VARIABLE: self._admin.client_secret,
            }
        code = await Child(name, arguments, {**self._environment, **more}).once()
        if code != 0:
            raise UpError(f"headrace {' '.join(arguments)} ended with exit code {code}")

    async def _ready(self, name: str) -> None:
        url = f"http://{HOST}:{self._ports[name]}/healthz/ready"
        answer = "no answer"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while (answer := await asyncio.to_thread(asked, url)) != "":  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.1)
        if answer:
            raise UpError(f"{name} is not ready after {READY_SECONDS:g} s: {answer}")

    def _examples(self) -> Path:
        folder = self._folder / "workflows"
        folder.mkdir(exist_ok=True)
        for name in EXAMPLES:
            text = examples.workflow(name).read_text(encoding="utf-8")
            (folder / f"{name}.json").write_text(examples.with_receiver(text, self._receiver_port), encoding="utf-8")
        return folder


def credentials_variables() -> frozenset[str]:
    """What tells the command line who it is, and where: ours is another server."""
    return frozenset({"HEADRACE_URL", credentials.ID_VARIABLE, credentials.SECRET_VARIABLE})


def is_free(port: int) -> bool:
    """Whether one can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def asked(url: str) -> str:
    """Why a probe does not say yes; empty when it does."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return str(error)


async def live(house: House, servers: Sequence[Running]) -> None:
    """Start the house and stay until a signal comes. Raises UpError when a server ends by itself."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            house.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    waiting = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(house.start())
    try:
        await asyncio.wait((waiting, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            house.introduce()
        while not stop.is_set():
            if ended := [server.name for server in servers if not server.is_running()]:
                raise UpError(f"{ended[0]} ended by itself")
            await asyncio.wait((waiting,), timeout=LOOKS_EVERY_SECONDS)
    finally:
        starting.cancel()
        say("up", "stopping")
        await house.stop()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make up ARGS=…", description=__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep all data here (else in a folder that is removed)"
    )
    parser.add_argument("--port", type=int, default=8080, help="port of the API; 0 takes a free one (default: 8080)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 1 when something cannot be had or ends by itself."""
    options = parsed(arguments)
    if options.port and not is_free(options.port):
        print(f"port {options.port} is taken: choose another one with --port", file=sys.stderr)
        return 1
    folder = options.data or Path(tempfile.mkdtemp(prefix="headrace-up-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            servers = []
            for kind in source.KINDS.values():
                server = source.open_server(kind, folder / kind.key, lambda text: say("servers", text))
                stack.callback(server.stop)
                servers.append((kind, server))
            addresses = {
                "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": servers[0][1].address,
                "HEADRACE_MONGODB__URI": servers[1][1].address,
            }
            asyncio.run(live(House(addresses, folder, options.port), [server for _, server in servers]))
            say("up", "stopped")
    except KeyboardInterrupt:
        say("up", "stopped")
    except (ServerError, UpError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
