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

from tests.e2e.house import log_in

PROGRAM = "import sys; from headrace_cli.main import main; sys.exit(main(sys.argv[1:]))"


class EngineProcess:
    """One life of the engine. Standard error of all lives goes to one file."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        self._home = folder / "home"
        self._errors = folder / "stderr.txt"
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient()

    async def spawn(self) -> None:
        """Begin; returns at once."""
        self._home.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        options = ("--data", str(self.data), "--port", "0", "--allow-network", "127.0.0.0/8", "--output", "json")
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROGRAM, "dev", *options,
                stdout=asyncio.subprocess.PIPE, stderr=errors, stdin=asyncio.subprocess.DEVNULL,
                env={**kept, **self._environment, "HOME": str(self._home), "PYTHONWARNINGS": "ignore"},
            )  # fmt: skip

    async def ready(self) -> httpx.AsyncClient:
        """Wait until the API answers; a client with an admin's token."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            printed = bytearray()
            while True:
                line = await self._process.stdout.readline()
                assert line, f"the engine ended: {self.errors()}"
                printed += line
                try:
                    url = orjson.loads(bytes(printed))["url"]
                except orjson.JSONDecodeError:
                    continue
                break
        keys = orjson.loads((self.data / "keys.json").read_bytes())
        await self.client.aclose()
        self.client = httpx.AsyncClient(base_url=url, timeout=10.0)
        await log_in(self.client, keys["client_id"], keys["client_secret"])
        return self.client

    async def kill(self) -> None:
        """kill -9"""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def terminate(self, seconds: float) -> int:
        """SIGTERM; the exit code, which must come in time."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def close(self) -> None:
        """Make sure that nothing is left of it."""
        await self.client.aclose()
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()

    def errors(self) -> str:
        """What all lives wrote to standard error."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""
