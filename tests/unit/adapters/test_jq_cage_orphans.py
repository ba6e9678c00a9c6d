"""An evaluator process never outlives its service, however that ends."""

import asyncio
import os
import signal
import sys

import pytest

SERVICE = """
import asyncio
from headrace.adapters.jq.cage import JqCage
from headrace.core.expression import Evaluation

async def main():
    cage = JqCage()
    await cage.evaluate([Evaluation(("now",), b"null")])
    print(*cage.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd to wait for a process that is no child")
async def test_a_killed_service_leaves_no_evaluator_behind() -> None:
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert service.stdout is not None
    evaluator = os.pidfd_open(int(await service.stdout.readline()))

    service.send_signal(signal.SIGKILL)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(evaluator, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        loop.remove_reader(evaluator)
        os.close(evaluator)
        await service.communicate()
