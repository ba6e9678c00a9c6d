"""Schedules fire once per instant, whoever does it, whatever fails, and whatever becomes of their workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pytest

from headrace.adapters.embedded import EmbeddedDefinitionStore, EmbeddedLedger, EmbeddedLog, EmbeddedScheduleStore
from headrace.adapters.zones import find_zone
from headrace.contracts.codec import decode_command
from headrace.contracts.topics import TopicNames
from headrace.core.commands import StartRun
from headrace.core.times import iso
from headrace.ports.errors import UnavailableError
from headrace.runtime.metrics import Metrics
from headrace_trigger.schedules import CREATED_BY, Scheduler, SchedulerSettings
from tests.conformance.samples import ManualClock
from tests.unit.services.parts import Faulty

TOPICS = TopicNames()
HOUR = 3_600_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def nightly(cron: str = "0 3 * * *", **config: Any) -> dict[str, Any]:
    trigger = {"type": "SCHEDULE_TRIGGER", "cron": cron, **config}
    return {"identifier": "nightly", "nodes": [{"identifier": "clock", "config": trigger}], "connections": []}


class Tower:
    """A clock to be moved by hand, and schedulers on the same stores."""

    def __init__(self) -> None:
        self.clock = ManualClock(ms("2026-11-24T12:00:00Z"))
        self.log = Faulty(EmbeddedLog(self.clock, partitions=1))
        self.definitions = EmbeddedDefinitionStore()
        self.schedules = Faulty(EmbeddedScheduleStore())
        self.ledger = Faulty(EmbeddedLedger())
        self.scheduler = self.another()

    def another(self, definitions: Any = None) -> Scheduler:
        ports: Any = self
        return Scheduler(
            definitions or self.definitions, ports.schedules, ports.ledger, ports.log, self.clock, find_zone, TOPICS,
            Metrics(), SchedulerSettings(),
        )  # fmt: skip

    async def save(self, document: dict[str, Any]) -> None:
        if await self.definitions.latest("nightly") is None:
            await self.definitions.create("nightly", document, "me", self.clock.at)
        else:
            await self.definitions.update("nightly", document, "me", self.clock.at)

    async def at(self, text: str) -> int:
        self.clock.at = ms(text)
        return await self.scheduler.sweep()

    async def commands(self) -> list[StartRun]:
        found = [decode_command(one) for one in await self.log.port.read(TOPICS.run_commands, 0, limit=10_000)]
        return [one for one in found if isinstance(one, StartRun)]

    async def started(self) -> list[str]:
        """The instants whose runs were started, each run once."""
        runs = {one.run_id: one for one in await self.commands()}
        return [str(one.output["scheduledAt"])[5:16] for one in runs.values()]


@pytest.fixture
def tower() -> Tower:
    return Tower()


async def test_an_instant_starts_one_run_when_it_comes_and_not_before(tower: Tower) -> None:
    await tower.save(nightly())
    assert await tower.at("2026-11-24T12:00:00Z") == 0
    assert await tower.at("2026-11-25T02:59:59.999Z") == 0
    assert await tower.at("2026-11-25T03:00:00Z") == 1
    assert await tower.at("2026-11-25T03:00:01Z") == 0
    (command,) = await tower.commands()
    assert command.workflow == "nightly"
    assert command.version == 1
    assert command.trigger == "clock"
    assert command.created_by == CREATED_BY
    assert command.output == {
        "scheduledAt": "2026-11-25T03:00:00.000Z", "firedAt": "2026-11-25T03:00:00.000Z", "cron": "0 3 * * *",
        "timezone": "UTC",
    }  # fmt: skip
    assert command.causation.event_id == command.causation.root_event_id != ""


async def test_the_ledger_knows_each_start(tower: Tower) -> None:
    await tower.save(nightly())
    await tower.at("2026-11-24T12:00:00Z")
    await tower.at("2026-11-25T03:00:00Z")
    (command,) = await tower.commands()
    entry = await tower.ledger.port.find(command.causation.event_id)
    assert entry is not None
    assert [(it.workflow, it.verdict, it.run_id) for it in entry.verdicts] == [("nightly", "matched", command.run_id)]
    assert (entry.action, entry.source) == ("SCHEDULE", "schedule/nightly/clock")
    assert orjson.loads(entry.event) == command.output


async def test_days_begin_where_the_time_zone_has_them(tower: Tower) -> None:
    tower.clock.at = ms("2027-03-27T12:00:00Z")
    await tower.save(nightly(timezone="Europe/Berlin"))
    await tower.scheduler.sweep()
    for hour in range(48):
        tower.clock.at += HOUR
        await tower.scheduler.sweep()
        del hour
    # clocks go forward in the night of 28 March: 3:00 is at 1:00 UTC from then on
    assert await tower.started() == ["03-28T01:00", "03-29T01:00"]


@pytest.mark.parametrize(
    ("policy", "started", "missed"),
    [
        ("latest", ["11-28T03:00"], "from 2026-11-25T03:00:00.000Z to 2026-11-27T03:00:00.000Z"),
        ("skip", [], "from 2026-11-25T03:00:00.000Z to 2026-11-28T03:00:00.000Z"),
        ("all", ["11-25T03:00", "11-26T03:00", "11-27T03:00", "11-28T03:00"], None),
    ],
)
async def test_what_becomes_of_instants_that_passed_while_nobody_was_there(
    tower: Tower, policy: str, started: list[str], missed: str | None
) -> None:
    await tower.save(nightly(missedRuns=policy))
    await tower.scheduler.sweep()
    assert await tower.at("2026-11-28T12:00:00Z") == len(started)
    assert await tower.started() == started
    entries = await tower.ledger.port.query(workflow="nightly")
    reasons = [it.reason for entry in entries for it in entry.verdicts if it.verdict == "missed"]
    assert [missed in reason and policy in reason for reason in reasons if missed] == [True] * (missed is not None)
    assert len(reasons) == (missed is not None)
    assert await tower.at("2026-11-29T03:00:00Z") == 1


async def test_a_little_late_is_not_missed(tower: Tower) -> None:
    await tower.save(nightly(missedRuns="skip"))
    await tower.scheduler.sweep()
    assert await tower.at("2026-11-25T03:01:00Z") == 1
    assert await tower.at("2026-11-26T03:01:00.001Z") == 0


async def test_two_schedulers_start_the_same_run(tower: Tower) -> None:
    await tower.save(nightly())
    await tower.scheduler.sweep()
    other = tower.another()
    await other.sweep()
    tower.clock.at = ms("2026-11-25T03:00:00Z")
    real = tower.log.port.publish

    async def sweep_too() -> None:
        tower.log.port.publish = real
        await other.sweep()

    tower.log.before["publish"] = sweep_too
    await tower.scheduler.sweep()
    commands = await tower.commands()
    assert len(commands) == 2
    assert len({one.run_id for one in commands}) == 1
    assert await tower.at("2026-11-25T03:00:01Z") == 0
    assert await other.sweep() == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", ["log.publish", "ledger.record", "schedules.save"])
async def test_a_failure_anywhere_repeats_the_same_run_and_loses_none(tower: Tower, where: str, after: bool) -> None:
    await tower.save(nightly())
    await tower.scheduler.sweep()
    port, verb = where.split(".")
    getattr(tower, port).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await tower.at("2026-11-25T03:00:00Z")
    await tower.at("2026-11-25T03:00:30Z")
    assert await tower.started() == ["11-25T03:00"]
    assert await tower.at("2026-11-26T03:00:00Z") == 1


async def test_a_new_version_that_leaves_the_schedule_alone_loses_no_instant(tower: Tower) -> None:
    await tower.save(nightly())
    await tower.scheduler.sweep()
    tower.clock.at = ms("2026-11-25T09:00:00Z")  # nobody was there at three
    await tower.save({**nightly(), "title": "Every night"})
    assert await tower.at("2026-11-25T10:00:00Z") == 1
    assert await tower.started() == ["11-25T03:00"]
    assert (await tower.commands())[0].version == 2


async def test_it_counts_from_its_first_version_even_if_no_scheduler_saw_that_one(tower: Tower) -> None:
    await tower.save(nightly())
    for day in ("25", "26"):
        tower.clock.at = ms(f"2026-11-{day}T09:00:00Z")
        await tower.save({**nightly(), "title": day})
    assert await tower.at("2026-11-26T10:00:00Z") == 1
    assert await tower.started() == ["11-26T03:00"]


@pytest.mark.parametrize(
    "changes",
    [
        [nightly("0 4 * * *")],
        [nightly(timezone="Asia/Tokyo")],
        [nightly(published=False), nightly()],
    ],
)
async def test_a_changed_schedule_and_one_that_is_published_again_begin_anew(
    tower: Tower, changes: list[dict[str, Any]]
) -> None:
    await tower.save(nightly())
    await tower.scheduler.sweep()
    tower.clock.at = ms("2026-11-25T09:00:00Z")
    for document in changes:
        await tower.save(document)
    assert await tower.at("2026-11-25T10:00:00Z") == 0
    assert await tower.at("2026-11-26T10:00:00Z") == 1


async def test_an_unpublished_schedule_and_one_of_a_deleted_workflow_fire_no_more(tower: Tower) -> None:
    await tower.save(nightly())
    await tower.scheduler.sweep()
    await tower.save(nightly(published=False))
    assert await tower.at("2026-11-25T03:00:00Z") == 0
    assert await tower.schedules.port.load([("nightly", "clock")]) == {}
    await tower.save(nightly())
    await tower.scheduler.sweep()
    await tower.definitions.delete("nightly", "me", tower.clock.at)
    assert await tower.at("2026-11-26T03:00:00Z") == 0
    await tower.definitions.create("nightly", nightly(), "me", ms("2026-11-26T09:00:00Z"))
    assert await tower.at("2026-11-26T10:00:00Z") == 0
    assert await tower.at("2026-11-27T03:00:00Z") == 1
    assert await tower.started() == ["11-27T03:00"]


class Behind:
    """A definition store whose reader does not learn of changes yet, as one process among others may not."""

    def __init__(self, port: EmbeddedDefinitionStore, versions: list[Any]) -> None:
        self._port = port
        self._versions = versions

    async def revision(self) -> int:
        return 0

    async def all(self) -> list[Any]:
        return self._versions

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._port, verb)


async def test_a_process_that_is_behind_starts_nothing_by_an_old_version(tower: Tower) -> None:
    await tower.save(nightly())
    behind = tower.another(Behind(tower.definitions, await tower.definitions.all()))
    await behind.sweep()
    await tower.save(nightly("0 5 * * *"))
    await tower.scheduler.sweep()
    tower.clock.at = ms("2026-11-25T03:00:00Z")
    assert await behind.sweep() == 0
    tower.clock.at = ms("2026-11-25T05:00:00Z")
    assert await behind.sweep() == 1
    assert (await tower.commands())[0].version == 2
    assert iso(tower.clock.at) in str((await tower.commands())[0].output)


async def test_a_process_that_is_behind_takes_down_nothing_that_was_published_since(tower: Tower) -> None:
    behind = tower.another(Behind(tower.definitions, []))
    await behind.sweep()
    await tower.save(nightly())
    await tower.scheduler.sweep()
    tower.clock.at = ms("2026-11-25T03:00:00Z")
    assert await behind.sweep() == 1


async def test_all_instants_of_a_day_come_one_by_one(tower: Tower) -> None:
    await tower.save(nightly("*/30 * * * *"))
    await tower.scheduler.sweep()
    fired = []
    for minute in range(24 * 60):
        tower.clock.at = ms("2026-11-24T12:00:00Z") + minute * 60_000
        fired.append(await tower.scheduler.sweep())
    assert sum(fired) == 47
    assert max(fired) == 1
    assert len(await tower.started()) == 47
