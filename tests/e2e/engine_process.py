"""`headrace dev` as a process of its own, to be killed and started again on the same folder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import orjson

from tests.e2e import nursery
from tests.e2e.house import log_in, until


class EngineProcess:
    """One engine after the other, by way of the nursery. Standard error of all lives goes to one file."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        self.client = httpx.AsyncClient()
        self._folder = folder
        self._environment = dict(environment or {})
        self._errors = folder / "stderr.txt"
        self._nursery: asyncio.subprocess.Process | None = None
        self._pid: int | None = None

    async def spawn(self) -> None:
        """Begin a life; returns at once."""
        if self._nursery is None:
            await self._open_nursery()
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._output.unlink(missing_ok=True)
        options = ("--data", str(self.data), "--port", "0", "--allow-network", "127.0.0.0/8", "--output", "json")
        self._nursery.stdin.write(orjson.dumps([str(self._output), "dev", *options]) + b"\n")
        self._pid = await self._answer()

    async def ready(self) -> httpx.AsyncClient:
        """Wait until the API answers; a client with an admin's token."""

        async def look() -> str | None:
            try:
                return str(orjson.loads(self._output.read_bytes())["url"])
            except (FileNotFoundError, orjson.JSONDecodeError):
                return None

        url = await until(look, f"the engine to start: {self.errors()}", 30.0)
        keys = orjson.loads((self.data / "keys.json").read_bytes())
        await self.client.aclose()
        self.client = httpx.AsyncClient(base_url=url, timeout=10.0)
        await log_in(self.client, keys["client_id"], keys["client_secret"])
        return self.client

    async def kill(self) -> None:
        """kill -9"""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        assert await self._ended() == -signal.SIGKILL

    async def terminate(self, seconds: float) -> int:
        """SIGTERM; the exit code, which must come in time."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGTERM)
        async with asyncio.timeout(seconds):
            return await self._ended()

    async def close(self) -> None:
        """Make sure that nothing is left of it."""
        await self.client.aclose()
        if self._pid is not None:
            await self.kill()
        if self._nursery is not None:
            assert self._nursery.stdin is not None
            self._nursery.stdin.close()
            await self._nursery.wait()

    def errors(self) -> str:
        """What all lives wrote to standard error."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    @property
    def _output(self) -> Path:
        return self._folder / "stdout.json"

    async def _open_nursery(self) -> None:
        home = self._folder / "home"
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        with self._errors.open("ab") as errors:
            self._nursery = await asyncio.create_subprocess_exec(
                sys.executable, nursery.__file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=errors, env={**kept, **self._environment, "HOME": str(home)},
            )  # fmt: skip

    async def _ended(self) -> int:
        code = await self._answer()
        self._pid = None
        return code

    async def _answer(self) -> int:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        async with asyncio.timeout(40):
            return int(await self._nursery.stdout.readline())
