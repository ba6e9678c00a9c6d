"""The receiver of the benchmarks: an HTTP server that reads a request to its end and answers a few bytes of JSON.

    python -m bench.echo_server

It prints its port and serves on loopback until it is terminated. It does as little as a server can, since it shares
the machine with what is measured.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

from bench import throwaway

BODY = b'{"changeId":"CHG-20481","state":"open","approved":true,"reviewers":["amira","jonas"],"riskScore":12}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: echo\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s"
) % (len(BODY), BODY)
_LENGTH = b"content-length: "


class Receiver(asyncio.Protocol):
    """One connection: requests one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.received[:head_end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(self.received) >= head_end + 4 + length:
            self.received = b""
            self.transport.write(ANSWER)


async def serve() -> None:
    """Listen on a free port, print it, serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running() -> Iterator[str]:
    """Serve in a process of its own; yields the URL."""
    command = [sys.executable, "-m", "bench.echo_server"]
    process = subprocess.Popen(command, cwd=throwaway.ROOT, stdout=subprocess.PIPE, text=True)
    with throwaway.stopped_afterwards(process):
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


if __name__ == "__main__":
    uvloop.run(serve())
