"""A FOR_EACH over many items on the embedded engine: time, CPU, memory, and what the journal grew by.

    python -m bench.for_each [--items 10000] [--concurrency 10] [--size 10] [--data DIR]

The child workflow has a trigger and a condition and calls nobody, so that the engine alone is measured.
"""

import argparse
import asyncio
import os
import resource
import time
from pathlib import Path
from typing import Any

import httpx

from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings

CHILD: dict[str, Any] = {
    "identifier": "child",
    "nodes": [
        {
            "identifier": "start",
            "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {"it": {"type": "string"}}}},
        },
        {
            "identifier": "which",
            "config": {"type": "CONDITION", "outlets": [{"identifier": "yes", "title": "yes", "expression": "true"}]},
        },
    ],
    "connections": [{"sourceIdentifier": "start", "targetIdentifier": "which"}],
}


def parent(concurrency: int) -> dict[str, Any]:
    form = {"properties": {"list": {"type": "array"}}}
    config = {
        "type": "FOR_EACH", "workflowIdentifier": "child", "items": "{{ .outputs.start.list }}",
        "concurrency": concurrency, "inputs": {"it": "{{ .item }}"},
    }  # fmt: skip
    return {
        "identifier": "parent",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": form}},
            {"identifier": "each", "config": config},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "each"}],
    }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(items: int, concurrency: int, size: int, data: Path | None) -> None:
    engine = Engine(DevSettings(port=0, log_level="ERROR", data=data))
    await engine.start()
    async with httpx.AsyncClient(base_url=engine.api_url, timeout=60) as client:
        credentials = engine.credentials
        body = {"clientId": credentials.client_id, "clientSecret": credentials.client_secret}
        token = (await client.post("/v1/auth/access_token", json=body)).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"
        for document in (CHILD, parent(concurrency)):
            (await client.post("/v1/workflows", json=document)).raise_for_status()
        inputs = {"list": [f"{index:0{size}d}" for index in range(items)]}
        wall, cpu, before = time.perf_counter(), time.process_time(), resident_mb()
        answer = await client.post("/v1/workflows/parent/runs", json={"inputs": inputs})
        answer.raise_for_status()
        run = answer.json()["workflowRun"]["identifier"]
        peak = before
        while True:
            await asyncio.sleep(0.25)
            peak = max(peak, resident_mb())
            stored = (await engine.runs.load([run]))[run]
            if stored.run.is_over:
                break
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        each = stored.run.outputs["each"]
        assert isinstance(each, dict)
        print(
            f"{items} items of {size} bytes, {concurrency} at once: {each['succeeded']} succeeded; "
            f"{wall:.1f} s, {cpu:.1f} s of CPU ({cpu / items * 1000:.2f} ms an item), "
            f"{stored.rev + 1} saves of the parent; "
            f"memory {before:.0f} MB before, {peak:.0f} MB at most, "
            f"written {resource.getrusage(resource.RUSAGE_SELF).ru_oublock * 512 / 2**20:.0f} MB"
        )
    await engine.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    asyncio.run(measure(given.items, given.concurrency, given.size, given.data))
