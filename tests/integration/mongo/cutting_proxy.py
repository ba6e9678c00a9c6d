"""A proxy before MongoDB that loses replies: the server does what it was asked, and the client never hears of it."""

import asyncio
import contextlib
from typing import Self

_READ_BYTES = 1 << 16


class CuttingProxy:
    """Use with `async with`. `cut(command, times)` closes the connection instead of passing on the reply."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._server: asyncio.Server | None = None
        self._marker = b""
        self._left = 0
        self.cuts = 0

    @property
    def uri(self) -> str:
        assert self._server is not None
        return f"mongodb://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/?directConnection=true"

    def cut(self, command: str, times: int) -> None:
        """The next replies to this command are lost."""
        # the first element of the command's document: a string, under the command's name
        self._marker = b"\x02" + command.encode() + b"\x00"
        self._left = times

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        is_cut = False

        async def forward() -> None:
            nonlocal is_cut
            while data := await client.read(_READ_BYTES):
                if self._left and self._marker in data:
                    self._left -= 1
                    is_cut = True
                to_server.write(data)
                await to_server.drain()

        async def back() -> None:
            while data := await server.read(_READ_BYTES):
                if is_cut:
                    self.cuts += 1
                    return
                to_client.write(data)
                await to_client.drain()

        tasks = [asyncio.create_task(forward()), asyncio.create_task(back())]
        with contextlib.suppress(OSError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in (to_client, to_server):
            writer.close()
