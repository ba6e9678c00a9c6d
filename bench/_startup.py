"""How long `headrace dev` takes until its API answers, and how much memory it holds while nothing happens."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

from bench import throwaway
from bench._process import resident_megabytes

_PROGRAM = "import sys; from headrace_cli.main import main; sys.exit(main())"
_IDLE_SECONDS = 3.0


def start_once(idle_seconds: float = _IDLE_SECONDS) -> dict[str, float]:
    """Start `headrace dev --memory --port 0` as a process, wait until its API answers, let it idle, stop it."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as home:
        # a home of its own, because it writes its credentials there
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        command = [sys.executable, "-c", _PROGRAM, "--output", "json", "dev", "--memory", "--port", "0"]
        began = time.perf_counter()
        environment = kept | {"HOME": home}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        with throwaway.stopped_afterwards(child):
            _expect_refusal(_first_object(child)["url"])
            ready = time.perf_counter() - began
            time.sleep(idle_seconds)
            return {"ready_seconds": ready, "idle_megabytes": resident_megabytes(child.pid)}


def _expect_refusal(url: str) -> None:
    """Ask for the workflows without a token: the API answers, and says who may."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/v1/workflows")
    assert connection.getresponse().status == 401
    connection.close()


def _first_object(child: "subprocess.Popen[str]") -> dict[str, str]:
    """What the program prints when it is up; it may spread over several lines."""
    assert child.stdout is not None
    text = ""
    for line in child.stdout:
        text += line
        try:
            found: dict[str, str] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return found
    raise SystemExit(f"headrace dev ended before it was up: {text}")
