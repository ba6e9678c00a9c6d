"""Two processes of each service on real Kafka and MongoDB; each test breaks something while 200 runs are in flight.

Afterwards every run has ended, each transition happened once, calls were repeated only where an invoker was struck, and
nothing lies in the dead-letter topics: says a checker that reads only topics, the receiver's log and the database.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.house import SESSION_SECONDS, House, Service, until
from tests.faults.load import Mix
from tests.faults.scene import Scene, Strike, opened

pytestmark = [pytest.mark.xdist_group("servers"), pytest.mark.asyncio(loop_scope="module")]

AWAY_SECONDS = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """One house for all scenes; its folder, logs and all, is kept by pytest."""
    async with opened(House(tmp_path_factory.mktemp("faults"))) as running:
        yield running


async def kill_and_bring_back(scene: Scene, strike: Strike, victim: Service) -> None:
    """kill -9 of a member of a group. It comes back as a new member, before the group has noticed that it was gone."""
    victim.kill()
    strike.uncommitted = await scene.uncommitted(victim)
    await asyncio.sleep(AWAY_SECONDS)
    await scene.bring_back(strike, victim)


async def test_without_a_fault_every_attempt_is_called_once(scene: Scene) -> None:
    async with scene.play("no fault", Mix(40, 10, 10, 10, 5, 10)) as strike:
        pass

    assert strike.repeated_calls == 0


async def test_a_killed_orchestrator_costs_no_call_and_no_transition(scene: Scene) -> None:
    victim = scene.house.pair("orchestrator")[0]
    async with scene.play("orchestrator killed") as strike:
        await scene.until_busy(strike)
        await kill_and_bring_back(scene, strike, victim)

    assert strike.uncommitted > 0
    assert strike.repeated_calls == 0


async def test_a_killed_trigger_costs_no_event(scene: Scene) -> None:
    victim = scene.house.pair("trigger")[0]
    async with scene.play("trigger killed") as strike:
        await scene.until_busy(strike)
        await kill_and_bring_back(scene, strike, victim)

    assert strike.uncommitted > 0
    assert strike.repeated_calls == 0


async def test_a_killed_api_costs_no_event_and_no_start(scene: Scene) -> None:
    victim = scene.house.pair("api")[0]
    async with scene.play("api killed") as strike:
        await scene.until_busy(strike, also=lambda: scene.api.open[victim.name] > 0)
        refused = scene.api.refused[victim.name]
        victim.kill()
        await asyncio.sleep(AWAY_SECONDS)
        await scene.bring_back(strike, victim)

    assert scene.api.refused[victim.name] > refused
    assert strike.repeated_calls == 0


async def test_a_killed_broker_costs_only_time(scene: Scene) -> None:
    async with scene.play("broker killed") as strike:
        await scene.until_busy(strike)
        scene.house.kafka.kill()
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(scene.house.kafka.start)
        scene.may_repeat(strike, scene.house.pair("invoker"))


async def test_a_killed_mongod_costs_only_time(scene: Scene) -> None:
    async with scene.play("mongod killed") as strike:
        await scene.until_busy(strike)
        scene.house.mongo.kill()
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(scene.house.mongo.start)

    assert strike.repeated_calls == 0


async def test_a_frozen_orchestrator_and_invoker_wake_up_as_zombies_and_do_no_harm(scene: Scene) -> None:
    orchestrator, invoker = scene.house.pair("orchestrator")[0], scene.house.pair("invoker")[0]
    async with scene.play("frozen longer than the session") as strike:
        await scene.until_busy(strike, also=lambda: scene.receiver.open[invoker.life] > 2)
        orchestrator.pause()
        invoker.pause()
        strike.uncommitted = await scene.uncommitted(orchestrator)
        frozen = await until(lambda: scene.has_lost_all(orchestrator, invoker), "the twins to take over", 30.0)
        orchestrator.resume()
        invoker.resume()
        scene.may_repeat(strike, [invoker])

    assert frozen > SESSION_SECONDS - 1
    assert strike.uncommitted > 0


async def test_a_killed_invoker_costs_only_the_calls_that_it_had_out(scene: Scene) -> None:
    victim = scene.house.pair("invoker")[0]
    async with scene.play("invoker killed") as strike:
        await scene.until_busy(strike, also=lambda: scene.receiver.open[victim.life] > 2)
        scene.may_repeat(strike, [victim])
        await kill_and_bring_back(scene, strike, victim)

    assert strike.uncommitted > 0
    assert strike.repeated_calls > 0
