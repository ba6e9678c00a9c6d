"""How long a page of the runs list takes with many runs stored: through the API, and of the store alone.

The runs are finished runs of W1, made by the adapter's own document function and written with the bare client: spread
over twenty workflows, fifty users and all results, a second apart. Indexes are built when the documents are there,
which is several times as fast as to keep them while filling, and gives the same indexes.
"""

import asyncio
import http.client
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from bench import _w1_steps, _workload
from bench._house import SECRET, House, Servers, print_progress
from headrace.adapters.mongo import run_documents
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.indexes import RUNS, create_indexes
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.adapters.mongo.settings import MongoSettings
from headrace.core.json import JsonObject
from headrace.ports.stores import RunQuery, StoredRun
from headrace.runtime import process
from tools.servers.process import HOST

NAME = "listing"
PAGE = 100
_WORKFLOWS, _USERS = 20, 50
_RESULTS = ("SUCCESS",) * 45 + ("FAILED",) * 4 + ("CANCELLED",)
_AT_ONCE = 2_000
_REQUESTS, _WARM_UP = 40, 5
_YEAR_MS = 365 * 86_400_000

PAGES: dict[str, tuple[dict[str, str], RunQuery]] = {
    "newest": ({}, RunQuery(limit=PAGE)),
    "of a workflow": ({"workflowIdentifiers": "tier-change-7"}, RunQuery(workflows=("tier-change-7",), limit=PAGE)),
    "failed": ({"results": "FAILED"}, RunQuery(results=("FAILED",), limit=PAGE)),
    "of a user": ({"createdBy": "u_7"}, RunQuery(created_by="u_7", limit=PAGE)),
    "the tenth page": ({"offset": f"{9 * PAGE}"}, RunQuery(limit=PAGE, offset=9 * PAGE)),
}


def documents(first: int, last: int) -> Iterator[dict[str, Any]]:
    """The runs with these numbers."""
    finished = _w1_steps.steps()[-1].saved
    template = run_documents.encode(StoredRun(finished.run, finished.rev, (), finished.saved_at), 1, _YEAR_MS)
    begins = _w1_steps.AT - 10_000_000_000
    for number in range(first, last):
        at = begins + number * 1_000
        yield {
            **template,
            "_id": f"wfr_{number:016d}",
            "workflow": f"tier-change-{number % _WORKFLOWS}",
            "created_by": f"u_{number // 3 % _USERS}",
            "state": _RESULTS[number // 7 % len(_RESULTS)],
            "created_at": at,
            "saved_at": at,
            "nodes": [f"wfnr_{number:015d}{node}" for node in range(len(template["nodes"]))],
        }


def fill(mongodb: str, first: int, last: int) -> None:
    """Write the runs with these numbers; the collection has no indexes afterwards."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb)
    with client:
        runs = client[NAME].get_collection(RUNS, write_concern=WriteConcern(w=1, j=False))
        runs.drop_indexes()
        for begin in range(first, last, _AT_ONCE):
            runs.insert_many(documents(begin, min(begin + _AT_ONCE, last)), ordered=False)
        client.admin.command("fsync")


async def prepare(mongodb: str) -> None:
    """Save the workflows, and build the indexes over what is stored."""
    database = _database(mongodb)
    await create_indexes(database)
    definitions = MongoDefinitionStore(database)
    for number in range(_WORKFLOWS):
        document: JsonObject = {**_workload.w1(_w1_steps.RECEIVER), "identifier": f"tier-change-{number}"}
        if await definitions.latest(f"tier-change-{number}") is None:
            await definitions.create(f"tier-change-{number}", document, "bench", _w1_steps.AT)
    await database.close()


async def of_the_store(mongodb: str) -> dict[str, dict[str, float]]:
    """Every page, asked of the run store in this process."""
    process.settle()  # as services do: else the collector is what takes longest
    database = _database(mongodb)
    store = MongoRunStore(database)
    found = {}
    for name, (_, query) in PAGES.items():
        spans = []
        for number in range(_WARM_UP + _REQUESTS):
            began = time.perf_counter()
            page = await store.query(query)
            if number >= _WARM_UP:
                spans.append(time.perf_counter() - began)
            assert len(page) == PAGE
        found[name] = _cuts(spans)
    await database.close()
    return found


def of_the_api(port: int) -> dict[str, dict[str, float]]:
    """Every page, asked of the API on this port, until all its bytes are here: JSON of a hundred runs."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    login = json.dumps({"clientId": "admin", "clientSecret": SECRET})
    token = json.loads(_ask(connection, "POST", "/v1/auth/access_token", login))["accessToken"]
    found = {}
    for name, (parameters, _) in PAGES.items():
        path = "/v1/workflows/runs?" + urlencode({"limit": str(PAGE), **parameters})
        spans = []
        for number in range(_WARM_UP + _REQUESTS):
            began = time.perf_counter()
            page = _ask(connection, "GET", path, None, token)
            if number >= _WARM_UP:
                spans.append(time.perf_counter() - began)
        # read here only once: reading a page takes this client as long as making it takes the API
        assert len(json.loads(page)["workflowRuns"]) == PAGE
        found[name] = _cuts(spans)
    connection.close()
    return found


def measure(its: Servers, folder: Path, counts: Sequence[int]) -> dict[str, Any]:
    """Every page with so many runs stored, for each of the counts, which grow."""
    house = House(its, folder, NAME)
    house.init()
    found: dict[str, Any] = {}
    stored = 0
    for count in counts:
        began = time.perf_counter()
        fill(its.mongo.uri, stored, count)
        filled = time.perf_counter() - began
        asyncio.run(prepare(its.mongo.uri))
        print_progress(f"{count:,} runs stored in {filled:.0f} s, indexed after {time.perf_counter() - began:.0f} s")
        stored = count
        with house.services(trigger=0, orchestrator=0, invoker=0):
            through_api = of_the_api(house.ports["api"][0])
        found[str(count)] = {"api_ms": through_api, "store_ms": process.run(of_the_store(its.mongo.uri))}
    return found


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None, token: str | None = None
) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    return content


def _cuts(spans: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(spans, n=100, method="inclusive")
    return {"p50": cuts[49] * 1e3, "p95": cuts[94] * 1e3}


def _database(mongodb: str) -> MongoDatabase:
    return MongoDatabase(MongoSettings.model_validate({"uri": mongodb, "database": NAME}))
