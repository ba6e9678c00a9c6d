"""Broker and database away for longer than anything in the services waits: nothing gives up, and nothing is lost.

Every test is a house of its own, like that of test_faults.py, and ends with the word of the same checker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.faults.house import House, until
from tests.faults.load import TRIES_SECONDS
from tests.faults.scene import MEMBERS, Scene, opened
from tests.faults.small_disk import CrampedMongo, NoDiskError, SmallDisk
from tools.servers import ServerError
from tools.servers.process import Server

pytestmark = pytest.mark.xdist_group("servers")

DISK_BYTES = 512 * 1024 * 1024
CRASH_SECONDS = 30.0

# Every time-out of the services that has a setting, so short that outages of a quarter of a minute pass all of them.
# What has none is as short: an outbox is published again after 15 s, retries wait 5 s at most.
IMPATIENT = {
    "HEADRACE_KAFKA__REBALANCE_TIMEOUT_MS": "6000",
    "HEADRACE_KAFKA__MAX_POLL_INTERVAL_MS": "7000",
    "HEADRACE_KAFKA__REQUEST_TIMEOUT_MS": "10000",
    "HEADRACE_KAFKA__PUBLISH_TIMEOUT_MS": "6000",
    "HEADRACE_MONGODB__SOCKET_TIMEOUT_SECONDS": "8",
    "HEADRACE_MONGODB__WRITE_TIMEOUT_SECONDS": "5",
    "HEADRACE_LEASE_SECONDS": "10",
}
AWAY_SECONDS = 10.0
"""So long the broker is away, and a few seconds more that starting servers takes; the database is there again."""

# The production's own values, where the house of the tests has shorter ones.
PATIENT = {
    "HEADRACE_KAFKA__SESSION_TIMEOUT_MS": "30000",
    "HEADRACE_KAFKA__HEARTBEAT_INTERVAL_MS": "3000",
    "HEADRACE_LEASE_SECONDS": "60",
}
LONG_SECONDS = 330.0
"""Longer than the longest time-out there is, the 300 s between two fetches."""


async def everybody_complains(scene: Scene, of: str, roles: Sequence[str]) -> None:
    """Wait until all processes of these roles say that they are not ready, and why."""
    await asyncio.gather(*(it.complains(of) for role in roles for it in scene.house.pair(role)))


async def work_stands_still(scene: Scene) -> None:
    """What is under way comes to its end; nothing new is begun, and nobody reads on."""
    calls = -1

    async def look() -> bool:
        nonlocal calls
        before, calls = calls, scene.receiver.calls
        await asyncio.sleep(1.5)
        return scene.receiver.calls == before

    await until(look, "the services to begin nothing any more", 20.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Where the MongoDB of the test's house keeps its data."""
    made = SmallDisk(tmp_path / "mongo" / "data", DISK_BYTES, tmp_path / "logs" / "disk.log")
    try:
        made.mount()
    except NoDiskError as error:
        pytest.skip(f"nobody may mount a disk here that can be full: {error}")
    yield made
    made.unmount()


async def test_a_full_disk_of_mongod_and_a_long_outage_of_the_broker_cost_only_time(
    tmp_path: Path, disk: SmallDisk
) -> None:
    house = House(tmp_path, IMPATIENT, CrampedMongo(tmp_path / "mongo", disk))
    async with opened(house) as scene, scene.play("disk full and broker away") as strike:
        await scene.until_busy(strike)
        await fill_the_disk(scene, disk)
        await until(partial(have_left, scene, "orchestrator"), "idle members to leave their group", 20.0)

        house.kafka.kill()
        disk.make_room()
        await asyncio.to_thread(house.mongo.start)
        await everybody_complains(scene, "Kafka", MEMBERS)
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(house.kafka.start)
        scene.may_repeat(strike, house.pair("invoker"))


async def fill_the_disk(scene: Scene, disk: SmallDisk) -> None:
    """mongod aborts when it cannot write, and does not start again; the services wait."""
    mongo = scene.house.mongo
    disk.fill()
    await until(partial(has_ended, mongo), "mongod to find its disk full", CRASH_SECONDS)
    assert "No space left on device" in mongo.log.read_text()
    with pytest.raises(ServerError):
        await asyncio.to_thread(mongo.start)
    await everybody_complains(scene, "MongoDB", (*MEMBERS, "api"))
    await work_stands_still(scene)


async def have_left(scene: Scene, role: str) -> bool:
    """Whether nobody is in the group of a role any more."""
    return not await scene.groups.owners(scene.house.pair(role)[0].group)


async def has_ended(server: Server) -> bool:
    return not server.is_running()


@pytest.mark.long
async def test_a_broker_that_is_away_for_five_minutes_costs_only_time(tmp_path: Path) -> None:
    house = House(tmp_path, PATIENT)
    await survive(house, house.kafka)


@pytest.mark.long
async def test_a_database_that_is_away_for_five_minutes_costs_only_time(tmp_path: Path) -> None:
    house = House(tmp_path, PATIENT)
    await survive(house, house.mongo)


async def survive(house: House, server: Server) -> None:
    """Kill a server while 200 runs are in flight, and start it again after five minutes and a half."""
    patience = LONG_SECONDS + TRIES_SECONDS
    async with opened(house, patience) as scene, scene.play(f"{server.name.lower()} away for long") as strike:
        await scene.until_busy(strike)
        server.kill()
        await everybody_complains(scene, server.name, MEMBERS)
        await asyncio.sleep(LONG_SECONDS)
        await asyncio.to_thread(server.start)
        scene.may_repeat(strike, house.pair("invoker"))
