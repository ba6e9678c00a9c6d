"""A tiny process that runs one server and ends it when the process that asked for it is gone, however that ended.

    python -I supervisor.py WATCHED_PID GRACE_SECONDS OUTPUT_FILE COMMAND...

It puts itself into the background, in a session of its own (so that Ctrl-C in a terminal reaches the one who asked,
and not the server behind its back), starts the command, prints the server's pid on standard output, and stays until
the server has ended. When the watched process ends, be it by kill -9, the server gets SIGTERM and, after the grace,
SIGKILL. When the supervisor itself is killed, the kernel kills the server (Linux only). Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

LOOKS_EVERY_SECONDS = 0.25
PR_SET_PDEATHSIG = 1


def started_at(pid: int) -> str | None:
    """When this process started, in words that tell it from a later one with the same pid; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, start = told.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else start.strip()


def is_frozen(pid: int) -> bool:
    """Whether all threads of this process stand after SIGSTOP; yes where the system does not tell."""
    try:
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return False  # a thread ended while we looked
    return all(text.rpartition(")")[2].split()[0] in "TtZX" for text in threads)


def end(server: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """SIGTERM, also to a server that was stopped with SIGSTOP; SIGKILL after the grace."""
    server.terminate()
    server.send_signal(signal.SIGCONT)
    try:
        server.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def watch(server: subprocess.Popen[bytes], watched: int, grace_seconds: float) -> None:
    """Return when the server has ended, by itself or because the watched process is gone."""
    identity = started_at(watched)
    told_to_end = False

    def on_terminate(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True

    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, on_terminate)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while server.poll() is None:
        if told_to_end or identity is None or started_at(watched) != identity:
            return end(server, grace_seconds)
        if select.select([bell], [], [], LOOKS_EVERY_SECONDS)[0]:
            os.read(bell, 4096)
    return None


def die_with_me() -> None:
    """In the server, before it becomes what it is: ask the kernel for SIGKILL when the supervisor ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Start the server in the background, say its pid, and stay with it."""
    watched, grace_seconds, output, *command = sys.argv[1:]
    if os.fork():
        os._exit(0)
    os.setsid()
    with Path(output).open("ab") as log:
        begun = time.strftime("%Y-%m-%d %H:%M:%S")
        log.write(f"--- {begun}: {' '.join(command)}\n".encode())
        log.flush()
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_me,
        )  # fmt: skip
    print(server.pid, flush=True)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    watch(server, int(watched), float(grace_seconds))


if __name__ == "__main__":
    main()
