"""How the runs of each workflow ended, minute by minute: a Faust application on Headrace's public run events.

Every record of `run.events.v1` may come again, so nothing is added up as records arrive. The table holds one row per
run that ended, and writing a row twice is writing it once; `/results` counts the rows when somebody asks.
"""

import json
import os
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import faust
from faust.web import Request, Response, View

WINDOW_SECONDS = float(os.environ.get("WINDOW_SECONDS", "60"))
KEEP_SECONDS = float(os.environ.get("KEEP_SECONDS", "3600"))
RUN_COMPLETED = b"io.headrace.run.completed"
RESULTS = ("SUCCESS", "FAILED", "CANCELLED")

app = faust.App(
    os.environ.get("APP_ID", "run-results"),
    broker="kafka://" + os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092").replace(",", ";kafka://"),
    topic_partitions=12,  # as many as run.events.v1 has: the table's changelog must match it
    web_bind="127.0.0.1",
    web_host="127.0.0.1",
    reply_create_topic=False,
    topic_disable_leader=True,
)
run_events = app.topic(
    os.environ.get("TOPIC_PREFIX", "headrace.") + "run.events.v1",
    key_type=bytes,
    value_type=bytes,
    key_serializer="raw",
    value_serializer="raw",
)


def ended_at(event: faust.EventT[Any]) -> float:
    """The event's own time, not that of its record: a repetition falls into the same window, however late it comes."""
    return datetime.fromisoformat(event.headers["ce_time"].decode()).timestamp()


# (workflow, run id) -> [result, partition of the run's events]
ended_runs = app.Table("ended-runs").tumbling(WINDOW_SECONDS, expires=KEEP_SECONDS).relative_to(ended_at)


@app.agent(run_events)
async def keep_ended_runs(stream: faust.StreamT[bytes]) -> None:
    """Write the row of every run that ended."""
    async for event in stream.events():
        if event.headers.get("ce_type") != RUN_COMPLETED:
            continue  # the header tells; most values are never parsed
        run = json.loads(event.value)
        if run["v"] > 1:
            app.logger.error("Message version %s is newer than this application: %s", run["v"], run["runId"])
            continue
        ended_runs[run["workflow"], run["runId"]] = [run["result"], event.message.partition]


@ended_runs.on_recover
async def expire_recovered_rows() -> None:
    """Faust 0.15.3 forgets the age of rows that it reads back from the changelog, and would keep them for ever."""
    for row, (_, partition) in ended_runs.table.items():
        ended_runs.table._maybe_set_key_ttl(row, partition)


@app.page("/results")
async def show_results(view: View, request: Request) -> Response:
    """The partitions that this worker holds, what it knows of them per workflow and window, its rows in memory."""
    held = held_partitions()
    return view.json({"partitions": sorted(held), "rows": len(ended_runs.table), "results": counted(held)})


def held_partitions() -> set[int]:
    """The partitions of run events that are this worker's now."""
    assigned = app.consumer.assignment() if app.consumer else set()
    return {held.partition for held in assigned if held.topic in run_events.topics}


def counted(held: set[int]) -> list[dict[str, Any]]:
    """One object per workflow and window that is not too old, in order of time."""
    oldest = time.time() - KEEP_SECONDS  # noqa: TID251 - no Clock port here: Faust itself expires rows by this clock
    counts: Counter[tuple[float, str, str]] = Counter()
    for ((workflow, _), (start, end)), (result, partition) in ended_runs.table.items():
        # Rows of partitions that went to another worker stay in Faust's memory: that worker counts them.
        if end > oldest and partition in held:
            counts[start, workflow, result] += 1
    windows = sorted({(start, workflow) for start, workflow, _ in counts})
    return [
        {
            "workflow": workflow,
            "window": datetime.fromtimestamp(start, UTC).isoformat(),
            **{result: counts[start, workflow, result] for result in RESULTS},
        }
        for start, workflow in windows
    ]


if __name__ == "__main__":
    app.main()
