"""A process that writes to every embedded adapter for ever and says on stdout what was acknowledged. To be killed."""

import asyncio
import os
import sys

from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded import EmbeddedClaimStore, EmbeddedLedger, EmbeddedLog, EmbeddedRunStore, Journal
from headrace.ports.log import Message
from headrace.ports.stores import Claim
from tests.conformance.samples import called, calling, completed, entry, make_run, write

BATCH = 3


def acknowledge(kind: str, number: int) -> None:
    os.write(1, f"{kind} {number}\n".encode())


async def write_for_ever(path: str, first: int) -> None:
    journal = Journal(path)
    clock = SystemClock()
    # small limits, so that trimming and evicting are going on all the time, too
    log = EmbeddedLog(clock, journal, retention_records=50)
    runs = EmbeddedRunStore(journal, max_finished_runs=20)
    claims = EmbeddedClaimStore(clock, journal)
    ledger = EmbeddedLedger(journal, max_entries=1_500)
    consumer = await log.subscribe("readers", ["orders"])
    number = first
    while True:
        await log.publish([Message("orders", f"{number}-{i}", str(number).encode()) for i in range(BATCH)])
        acknowledge("published", number)
        run = calling(make_run(f"live-{number % 50}-{number}"))
        await runs.save([write(run, 0, Message("out", "k", b"x" * 5_000))])
        acknowledge("inserted", number)
        await runs.save([write(completed(called(run)), 1)])
        acknowledge("completed", number)
        await runs.save([write(make_run(f"open-{number}"), 0)])
        acknowledge("opened", number)
        await claims.save([(Claim(f"claim-{number}", "me", 1, 0, "DONE", b"result"), None)])
        acknowledge("claimed", number)
        await ledger.record([entry(f"ev-{number}")])
        acknowledge("recorded", number)
        records = await consumer.fetch(10, 0)
        if records:
            await consumer.commit({record.source: record.offset + 1 for record in records}, records[0].epoch)
            acknowledge("committed", sum((await log.lag("readers")).values()))
        number += 1


if __name__ == "__main__":
    asyncio.run(write_for_ever(sys.argv[1], int(sys.argv[2])))
