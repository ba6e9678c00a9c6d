"""Running the command line in this process, and a real engine for it to speak to."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from headrace_cli import client as client_module
from headrace_cli.main import main

Handler = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Calls `headrace` as a shell would: arguments in, exit code and both streams out."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: str | None = None) -> Ended:
        if stdin is not None:
            self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        self.capture.readouterr()
        code = main(arguments)
        streams = self.capture.readouterr()
        return Ended(code, streams.out, streams.err)

    def answered_by(self, handler: Handler) -> None:
        """Let this function be the server from now on."""
        transport = httpx.MockTransport(handler)

        def make(url: str, credentials: object = None) -> client_module.Client:
            return client_module.Client(url, None, transport=transport)

        self.patch.setattr("headrace_cli.session.Session.client", lambda session: make(session.url))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and none of our variables set."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("HEADRACE_URL", "HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def shell(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)
