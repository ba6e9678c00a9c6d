"""`python -m tools.servers`, which is `make servers`: Kafka and MongoDB on loopback until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from tools.servers import shared, source
from tools.servers.errors import ServerError
from tools.servers.process import Progress

LOOKS_EVERY_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Start them, say where they are, and stay until SIGINT or SIGTERM; 1 when one cannot be had or ends by itself."""
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", file=sys.stderr, flush=True)

    directory = options.data or Path(tempfile.mkdtemp(prefix="headrace-servers-"))
    failed = False
    try:
        keep(options.kinds, directory, options.state, say)
    except KeyboardInterrupt:
        say("stopped")
    except ServerError as error:
        failed = True
        say(str(error))
        if options.state is not None:
            shared.write_state(options.state, {"error": str(error)})
    if options.data is None and not failed:
        shutil.rmtree(directory, ignore_errors=True)
    elif failed:
        say(f"what the servers said is kept in {directory}")
    if options.state is not None:
        for kind in options.kinds:
            shutil.rmtree(directory / kind.key / "data", ignore_errors=True)
    return int(failed)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with the kinds of server to start as `kinds`."""
    parser = argparse.ArgumentParser(prog="make servers ARGS=…", description=__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep data and logs here (else a folder that is removed)"
    )
    only = parser.add_mutually_exclusive_group()
    for kind in source.KINDS.values():
        only.add_argument(
            f"--{kind.key}-only", dest="kinds", action="store_const", const=[kind], help=f"start only {kind.name}"
        )
    parser.add_argument(
        "--state", type=Path, metavar="FILE",
        help="for programs: write the address, or the error, to this file as JSON, and remove the data at the end",
    )  # fmt: skip
    parser.set_defaults(kinds=list(source.KINDS.values()))
    return parser.parse_args(arguments)


def keep(kinds: Sequence[source.Kind], directory: Path, state: Path | None, say: Progress) -> None:
    """Open the servers and watch them; they are stopped when this ends, which it does only by an exception."""
    with ExitStack() as stack:
        opened = []
        for kind in kinds:
            server = source.open_server(kind, directory / kind.key, say)
            stack.callback(server.stop)
            opened.append((kind, server))
        for kind, server in opened:
            print(f"export {kind.variable}={shlex.quote(server.address)}", flush=True)
            if state is not None:
                shared.write_state(state, {"address": server.address})
        say("both run until Ctrl-C" if len(opened) > 1 else f"{opened[0][0].name} runs until Ctrl-C")
        while all(server.is_running() for _, server in opened):
            time.sleep(LOOKS_EVERY_SECONDS)
    ended = next(kind.name for kind, server in opened if not server.is_running())
    raise ServerError(f"{ended} ended by itself")


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM is as good as Ctrl-C; while the servers are being stopped, neither shortens it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
