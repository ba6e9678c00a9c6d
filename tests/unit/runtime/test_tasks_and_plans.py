"""The small parts of the shell: watched tasks, cached plans, dead letters, growing delays."""

import asyncio
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedDefinitionStore
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message
from headrace.runtime.backoff import Backoff
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.plans import MissingVersionError, Plans
from headrace.runtime.tasks import Tasks
from tests.scenario import edge, start_node, webhook, workflow
from tests.unit.services.parts import Faulty, record


async def _die(error: Exception) -> None:
    raise error


async def test_the_first_task_that_dies_is_the_failure_of_all() -> None:
    tasks = Tasks()
    failure = tasks.failure()
    tasks.start(_die(ValueError("first")), "one")
    assert str(await failure) == "first"
    tasks.start(_die(ValueError("second")), "two")
    await asyncio.sleep(0)
    await tasks.stop()
    assert str(await tasks.failure()) == "first"


async def test_a_task_that_died_before_anybody_watched_is_a_failure_too() -> None:
    tasks = Tasks()
    task = tasks.start(_die(ValueError("early")), "one")
    await asyncio.wait([task])
    async with asyncio.timeout(1):
        assert str(await tasks.failure()) == "early"
    await tasks.stop()


async def test_a_task_that_ends_well_or_is_stopped_is_no_failure() -> None:
    tasks = Tasks()
    failure = tasks.failure()
    tasks.start(asyncio.sleep(0), "short")
    long = tasks.start(asyncio.sleep(3_600), "long")
    await asyncio.sleep(0.01)
    await tasks.stop()
    assert long.cancelled()
    assert not failure.done()


async def test_repeated_work_goes_on_after_an_unavailable_store_and_ends_with_a_bug() -> None:
    tasks = Tasks()
    done: list[int] = []

    async def work() -> None:
        done.append(len(done))
        if len(done) == 2:
            raise UnavailableError("gone")
        if len(done) == 4:
            raise ValueError("a bug")

    tasks.every(0.001, work, "often")
    assert str(await tasks.failure()) == "a bug"
    assert done == [0, 1, 2, 3]
    await tasks.stop()


class TestPlans:
    DOCUMENT = workflow([start_node(), webhook("a")], [edge("start", "a")])

    async def test_a_version_is_read_and_compiled_once(self) -> None:
        definitions, plans = await self._made()
        first = await plans.get("flow", 1)
        assert await plans.get("flow", 1) is first
        assert (first.workflow, first.version, definitions.calls["version"]) == ("flow", 1, 1)

    async def test_the_least_recently_used_plan_goes_first(self) -> None:
        definitions, plans = await self._made(capacity=2)
        for version in (2, 3):
            await definitions.update("flow", self.DOCUMENT, "me", version)
        for version in (1, 2, 1, 3, 1):
            await plans.get("flow", version)
        assert definitions.calls["version"] == 3
        await plans.get("flow", 2)
        assert definitions.calls["version"] == 4

    @pytest.mark.parametrize(("name", "version"), [("flow", 2), ("other", 1)])
    async def test_a_version_that_is_not_there_is_missing_and_is_looked_for_again(
        self, name: str, version: int
    ) -> None:
        definitions, plans = await self._made()
        for _ in range(2):
            with pytest.raises(MissingVersionError, match="has no version"):
                await plans.get(name, version)
        assert definitions.calls["version"] == 2

    async def test_a_version_that_cannot_be_read_any_more_says_why(self) -> None:
        definitions, plans = await self._made()
        await definitions.update("flow", {"identifier": "flow", "nodes": 7}, "me", 2)
        with pytest.raises(MissingVersionError, match="cannot be read"):
            await plans.get("flow", 2)

    async def test_an_unavailable_store_is_not_remembered(self) -> None:
        definitions, plans = await self._made()
        definitions.fail("version")
        with pytest.raises(UnavailableError):
            await plans.get("flow", 1)
        assert (await plans.get("flow", 1)).version == 1

    async def test_readers_at_the_same_time_get_their_plan_from_a_small_cache(self) -> None:
        _, plans = await self._made(capacity=1)
        found = await asyncio.gather(*(plans.get("flow", 1) for _ in range(5)))
        assert {plan.version for plan in found} == {1}

    async def _made(self, **settings: Any) -> tuple[Faulty, Plans]:
        definitions = Faulty(EmbeddedDefinitionStore())
        await definitions.create("flow", self.DOCUMENT, "me", 1)
        return definitions, Plans(definitions, **settings)


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"{"])
def test_a_dead_letter_keeps_key_value_and_headers_and_says_where_it_came_from_and_why(value: bytes | None) -> None:
    came = record(Message("t", "k", value, (("own", b"\xff"),)), offset=7, partition=3)
    letter = dead_letter(came, ValueError("half a \ud800"), "g", 99)
    headers = dict(letter.headers)
    assert (letter.topic, letter.key, letter.value) == ("t.dlq", "k", value)
    assert letter.headers[0] == ("own", b"\xff")
    assert headers["dl-topic"] == b"t"
    assert (headers["dl-partition"], headers["dl-offset"], headers["dl-at"]) == (b"3", b"7", b"99")
    assert (headers["dl-group"], headers["dl-error"], headers["dl-message"]) == (b"g", b"ValueError", b"half a ?")


def test_the_reason_of_a_dead_letter_has_a_limit() -> None:
    letter = dead_letter(record(Message("t", "k", b"")), ValueError("x" * 5_000), "g", 99)
    assert dict(letter.headers)["dl-message"] == b"x" * 2_000


def test_delays_double_up_to_the_most_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(first=1, most=5)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next() == 1
