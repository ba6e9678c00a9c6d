"""How the runs of each workflow ended, minute by minute: downstream_faust/ in ten lines of aiokafka.

It keeps nothing: each start reads all that Kafka still has (7 days), prints every count as it grows, and goes on.
"""

import asyncio
import json
import os
from collections import Counter

from aiokafka import AIOKafkaConsumer


async def follow(servers: str, topic: str) -> None:
    """Print a line per run that ended, with the count of its workflow, minute and result so far."""
    counted: set[str] = set()
    counts: Counter[tuple[str, str, str]] = Counter()
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        async for record in consumer:
            run = json.loads(record.value)
            if run["type"] == "io.headrace.run.completed" and run["runId"] not in counted:  # any event may come again
                counted.add(run["runId"])
                row = run["workflow"], run["at"][:16] + "Z", run["result"]
                counts[row] += 1
                print(*row, counts[row], flush=True)


if __name__ == "__main__":
    kafka, prefix = (
        os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        os.environ.get("TOPIC_PREFIX", "headrace."),
    )
    asyncio.run(follow(kafka, prefix + "run.events.v1"))
