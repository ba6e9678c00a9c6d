"""What every RunStore adapter promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.core.run import Run
from headrace.ports.log import Message
from headrace.ports.stores import RunQuery, RunStore, StoredRun
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import (
    START,
    called,
    calling,
    cancelling,
    completed,
    failed_once,
    make_run,
    message,
    reported,
    write,
)

Harness = StoreHarness[RunStore]
OUT = message("requests", "call", b"\x00\xffbytes", type=b"node.request")


async def save(harness: Harness, *runs: Run) -> None:
    assert all(await harness.store.save([write(run) for run in runs]))


async def ids(harness: Harness, query: RunQuery) -> list[str]:
    return [run.id for run in await harness.store.query(query)]


class RunStoreSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[Harness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    # compare-and-set

    async def test_a_run_comes_back_as_it_was_saved(self, harness: Harness) -> None:
        run = called(
            calling(make_run("r1"), "call", START + 9), output={"a": [1, None, "é", {"b": 1.5}]}, external="x1"
        )
        stored = write(calling(run, "next", START + 60_000), 0, OUT, saved_at=START + 7)

        assert await harness.store.save([stored]) == [True]

        assert await harness.store.load(["r1"]) == {"r1": stored}

    async def test_a_completed_run_comes_back_as_it_was_saved(self, harness: Harness) -> None:
        stored = write(completed(called(calling(make_run("r1")))), 0)

        await harness.store.save([stored])

        assert await harness.store.load(["r1"]) == {"r1": stored}

    async def test_unknown_runs_are_absent(self, harness: Harness) -> None:
        await save(harness, make_run("r1"))

        assert set(await harness.store.load(["r0", "r1", "r2"])) == {"r1"}
        assert await harness.store.load([]) == {}

    async def test_the_next_revision_replaces_the_run(self, harness: Harness) -> None:
        run = make_run("r1")
        await harness.store.save([write(run, 0, OUT)])

        assert await harness.store.save([write(calling(run), 1, OUT, OUT, saved_at=START + 1)]) == [True]

        assert await harness.store.load(["r1"]) == {"r1": write(calling(run), 1, OUT, OUT, saved_at=START + 1)}

    async def test_a_second_insert_loses_and_changes_nothing(self, harness: Harness) -> None:
        first, second = write(make_run("r1", by="ann"), 0, OUT), write(make_run("r1", by="bob"), 0)
        await harness.store.save([first])

        assert await harness.store.save([second]) == [False]

        assert await harness.store.load(["r1"]) == {"r1": first}
        assert await ids(harness, RunQuery(created_by="bob")) == []

    @pytest.mark.parametrize("rev", [0, 1, 3, 7])
    async def test_a_write_that_does_not_follow_the_stored_revision_loses_and_changes_nothing(
        self, harness: Harness, rev: int
    ) -> None:
        run = make_run("r1")
        await harness.store.save([write(run, 0)])
        await harness.store.save([write(run, 1, OUT)])
        loser = write(calling(run, "lost", START), rev)

        assert await harness.store.save([loser]) == [False]

        assert await harness.store.load(["r1"]) == {"r1": write(run, 1, OUT)}
        assert await harness.store.due(START, 10) == []
        assert await harness.store.find_node_run("r1:lost") is None
        assert len(await harness.store.unsent(START + 1, 10)) == 1

    async def test_a_later_revision_of_a_run_that_is_not_stored_loses(self, harness: Harness) -> None:
        assert await harness.store.save([write(make_run("r1"), 1)]) == [False]

        assert await harness.store.load(["r1"]) == {}

    async def test_of_two_writers_of_one_revision_one_wins(self, harness: Harness) -> None:
        run = make_run("r1")
        await save(harness, run)

        answers = await asyncio.gather(
            *(harness.store.save([write(calling(run, f"by-{i}"), 1)]) for i in range(5)),
        )

        assert sorted(answer for (answer,) in answers) == [False] * 4 + [True]
        winner = [(answer,) for (answer,) in answers].index((True,))
        stored = (await harness.store.load(["r1"]))["r1"]
        assert list(stored.run.nodes) == [f"by-{winner}"]

    async def test_of_two_who_insert_one_run_one_wins(self, harness: Harness) -> None:
        writes = [write(make_run("r1", by=f"by-{i}"), 0, OUT) for i in range(5)]

        answers = await asyncio.gather(*(harness.store.save([stored, write(make_run("r2"))]) for stored in writes))

        assert sorted(first for first, _ in answers) == [False] * 4 + [True]
        assert sorted(second for _, second in answers) == [False] * 4 + [True]
        winner = [first for first, _ in answers].index(True)
        assert (await harness.store.load(["r1"]))["r1"] == writes[winner]

    async def test_writes_of_one_run_in_one_batch_follow_each_other(self, harness: Harness) -> None:
        run = make_run("r1")
        writes = [write(run, 0), write(make_run("r2"), 0), write(calling(run), 1, OUT), write(run, 1), write(run, 3)]

        assert await harness.store.save(writes) == [True, True, True, False, False]

        assert await harness.store.load(["r1"]) == {"r1": write(calling(run), 1, OUT)}

    async def test_names_that_look_like_operators_are_only_names(self, harness: Harness) -> None:
        odd = make_run("$rev", workflow="$where", by="$$ROOT")
        await save(harness, odd, make_run("r2"))
        later = reported(calling(odd, "$node", START + 1), "$node", "$literal")

        assert await harness.store.save([write(later, 1, OUT)]) == [True]

        assert await harness.store.load(["$rev"]) == {"$rev": write(later, 1, OUT)}
        assert await ids(harness, RunQuery(workflows=("$where",), created_by="$$ROOT")) == ["$rev"]
        assert await harness.store.find_external("$literal") == [later]
        assert await harness.store.find_node_run("$rev:$node") == later
        assert [timer.run_id for timer in await harness.store.due(START + 1, 9)] == ["$rev"]

    async def test_a_thousand_writes_get_an_answer_each_in_order(self, harness: Harness) -> None:
        runs = [make_run(f"r{i:04}", at=START + i) for i in range(1_000)]
        await harness.store.save([write(run) for run in runs[::2]])

        # odd ones are new, every fourth is an update that wins, the rest updates that lose
        writes = [write(run, 0 if i % 2 else 1 if i % 4 == 0 else 2) for i, run in enumerate(runs)]
        answers = await harness.store.save(writes)

        assert answers == [bool(i % 2) or i % 4 == 0 for i in range(1_000)]
        stored = await harness.store.load([run.id for run in runs])
        assert [stored[run.id].rev for run in runs] == [0 if i % 2 else 1 if i % 4 == 0 else 0 for i in range(1_000)]

    async def test_saving_nothing_is_fine(self, harness: Harness) -> None:
        assert await harness.store.save([]) == []

    async def test_a_mebibyte_of_output_comes_back(self, harness: Harness) -> None:
        run = called(calling(make_run("r1")), output={"text": "€" * 350_000})

        await save(harness, run)

        assert (await harness.store.load(["r1"]))["r1"].run == run

    # the outbox

    async def test_every_kind_of_message_comes_back_from_the_outbox(self, harness: Harness) -> None:
        outbox = (
            Message("t", "käse", None, (("x", b"\xff"), ("x", b""), ("ü", b"1"))),
            Message("t", "", b"", ()),
            Message("u", "k", bytes(range(256)) * 100, (("type", b"a"),)),
        )
        await harness.store.save([write(make_run("r1"), 0, *outbox)])

        assert (await harness.store.load(["r1"]))["r1"].outbox == outbox

    async def test_marking_sent_empties_the_outbox_and_nothing_else(self, harness: Harness) -> None:
        stored = write(calling(make_run("r1")), 0, OUT)
        await harness.store.save([stored])

        await harness.store.mark_sent([("r1", 0)])
        await harness.settle()

        assert await harness.store.load(["r1"]) == {"r1": replace(stored, outbox=())}
        assert await harness.store.unsent(START + 1, 10) == []
        assert await harness.store.save([write(completed(stored.run), 1)]) == [True]

    async def test_marking_another_revision_sent_changes_nothing(self, harness: Harness) -> None:
        run = make_run("r1")
        await harness.store.save([write(run, 0, OUT)])
        await harness.store.save([write(run, 1, OUT)])

        await harness.store.mark_sent([("r1", 0), ("r1", 2), ("unknown", 0)])
        await harness.settle()

        assert (await harness.store.load(["r1"]))["r1"].outbox == (OUT,)

    async def test_a_thousand_runs_are_marked_sent_at_once(self, harness: Harness) -> None:
        runs = [make_run(f"r{i:04}") for i in range(1_000)]
        await harness.store.save([write(run, 0, OUT) for run in runs])

        await harness.store.mark_sent([(run.id, 0 if i % 2 else 1) for i, run in enumerate(runs)])
        await harness.settle()

        unsent = await harness.store.unsent(START + 1, 1_000)
        assert sorted(stored.run.id for stored in unsent) == [run.id for run in runs[::2]]

    async def test_unsent_runs_come_oldest_first_and_only_those_that_waited(self, harness: Harness) -> None:
        waiting = {"c": 30, "a": 10, "b": 20, "late": 40}
        await harness.store.save([write(make_run(name), 0, OUT, saved_at=START + at) for name, at in waiting.items()])
        await harness.store.save([write(make_run("empty"), 0, saved_at=START)])

        unsent = await harness.store.unsent(START + 40, 10)

        assert [stored.run.id for stored in unsent] == ["a", "b", "c"]
        assert unsent[0] == write(make_run("a"), 0, OUT, saved_at=START + 10)
        assert [stored.run.id for stored in await harness.store.unsent(START + 40, 2)] == ["a", "b"]

    async def test_the_next_save_decides_what_is_unsent(self, harness: Harness) -> None:
        run = make_run("r1")
        await harness.store.save([write(run, 0, OUT)])

        await harness.store.save([write(run, 1)])

        assert await harness.store.unsent(START + 1, 10) == []

    async def test_the_messages_of_a_completed_run_stay_unsent_until_they_are_marked(self, harness: Harness) -> None:
        await harness.store.save([write(completed(make_run("r1")), 0, OUT)])
        assert len(await harness.store.unsent(START + 1, 10)) == 1

        await harness.store.mark_sent([("r1", 0)])
        await harness.settle()

        assert await harness.store.unsent(START + 1, 10) == []
        assert (await harness.store.load(["r1"]))["r1"] == write(completed(make_run("r1")), 0)

    # timers

    async def test_due_timers_come_earliest_first_and_not_too_early(self, harness: Harness) -> None:
        await save(
            harness, calling(make_run("r1"), "call", START + 30, START + 10), calling(make_run("r2"), "x", START + 20)
        )

        due = await harness.store.due(START + 20, 10)

        assert [(timer.run_id, timer.due_at) for timer in due] == [("r1", START + 10), ("r2", START + 20)]
        assert due[0].timer_id == "r1:call:1"
        assert await harness.store.due(START + 9, 10) == []
        assert len(await harness.store.due(START + 99, 10)) == 3

    async def test_a_due_timer_is_told_again_until_it_falls_away(self, harness: Harness) -> None:
        run = calling(make_run("r1"), "call", START + 10)
        await save(harness, run)
        assert await harness.store.due(START + 50, 10) == await harness.store.due(START + 60, 10) != []

        await harness.store.save([write(called(run), 1)])

        assert await harness.store.due(START + 70, 10) == []

    async def test_a_timer_that_is_written_late_with_an_early_time_is_told(self, harness: Harness) -> None:
        await save(harness, calling(make_run("r1"), "call", START + 50))
        assert len(await harness.store.due(START + 60, 10)) == 1

        await save(harness, calling(make_run("r2"), "call", START + 5))

        assert [timer.run_id for timer in await harness.store.due(START + 60, 10)] == ["r2", "r1"]

    async def test_a_timer_that_moved_is_told_at_its_new_time_only(self, harness: Harness) -> None:
        run = calling(make_run("r1"), "call", START + 10)
        await save(harness, run)
        await harness.store.save([write(failed_once(run, "call", START + 90), 1)])

        assert await harness.store.due(START + 50, 10) == []
        assert [timer.timer_id for timer in await harness.store.due(START + 90, 10)] == ["r1:call:retry"]

    async def test_no_more_due_timers_come_than_were_asked_for(self, harness: Harness) -> None:
        await save(harness, *(calling(make_run(f"r{i}"), "call", START + i) for i in range(20)))

        due = await harness.store.due(START + 99, 5)

        assert [timer.run_id for timer in due] == ["r0", "r1", "r2", "r3", "r4"]

    async def test_a_completed_run_has_no_timers(self, harness: Harness) -> None:
        run = calling(make_run("r1"), "call", START + 10)
        await save(harness, run)

        await harness.store.save([write(completed(run, "CANCELLED"), 1)])

        assert await harness.store.due(START + 99, 10) == []

    # finding

    async def test_a_run_is_found_by_each_of_its_node_runs(self, harness: Harness) -> None:
        run = called(calling(make_run("r1"), "one"), "one")
        await save(harness, run, make_run("r2"))
        later = calling(run, "two")
        await harness.store.save([write(later, 1)])

        assert await harness.store.find_node_run("r1:one") == later
        assert await harness.store.find_node_run("r1:two") == later
        assert await harness.store.find_node_run("r1:three") is None

    async def test_runs_are_found_by_an_external_id_that_came_at_any_time(self, harness: Harness) -> None:
        runs = [calling(make_run(f"r{i}", at=START + i)) for i in range(3)]
        await save(harness, *runs)
        assert await harness.store.find_external("build-7") == []

        reported_runs = [reported(runs[0], "call", "build-7"), called(runs[1], external="build-7")]
        await harness.store.save([write(run, 1) for run in reported_runs])

        assert sorted(run.id for run in await harness.store.find_external("build-7")) == ["r0", "r1"]
        assert await harness.store.find_external("build-8") == []

    async def test_completed_runs_are_found_too(self, harness: Harness) -> None:
        run = completed(called(calling(make_run("r1")), external="build-7"))
        await save(harness, run)

        assert await harness.store.find_node_run("r1:call") == run
        assert await harness.store.find_external("build-7") == [run]

    # queries

    async def fill(self, harness: Harness) -> dict[str, Run]:
        """Eight runs, the newest last; r0 to r7."""
        runs = [
            make_run("r0", workflow="deploy", version=1, by="ann", at=START, result="SUCCESS"),
            make_run("r1", workflow="deploy", version=2, by="bob", at=START + 1, result="FAILED"),
            make_run("r2", workflow="deploy", version=2, by="ann", at=START + 2),
            make_run("r3", workflow="scale", version=1, by="bob", at=START + 3),
            cancelling(make_run("r4", workflow="scale", version=1, by="cid", at=START + 4)),
            make_run("r5", workflow="scale", version=3, by="cid", at=START + 5, result="CANCELLED"),
            make_run("r6", workflow="audit", version=1, by="ann", at=START + 6, result="SUCCESS"),
            make_run("r7", workflow="audit", version=2, by="bob", at=START + 7),
        ]
        # stored in another order than created, some in two steps
        await save(harness, *(runs[i] for i in (5, 0, 7, 2)))
        await save(harness, *(make_run(r.id, workflow=r.workflow, version=r.version, by=r.created_by, at=r.created_at)
                              for r in (runs[6], runs[1], runs[4], runs[3])))  # fmt: skip
        await harness.store.save([write(runs[i], 1) for i in (1, 3, 4, 6)])
        return {run.id: run for run in runs}

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (RunQuery(), "76543210"),
            (RunQuery(limit=3), "765"),
            (RunQuery(limit=3, offset=6), "10"),
            (RunQuery(offset=20), ""),
            (RunQuery(run_ids=("r1", "r6", "r9")), "61"),
            (RunQuery(run_ids=("r1", "r6"), workflows=("audit",)), "6"),
            (RunQuery(workflows=("deploy",)), "210"),
            (RunQuery(workflows=("deploy", "audit")), "76210"),
            (RunQuery(workflows=("none",)), ""),
            (RunQuery(versions=(2,)), "721"),
            (RunQuery(workflows=("deploy",), versions=(1, 3)), "0"),
            (RunQuery(created_by="bob"), "731"),
            (RunQuery(created_by="nobody"), ""),
            (RunQuery(statuses=("IN_PROGRESS",)), "732"),
            (RunQuery(statuses=("CANCELLING",)), "4"),
            (RunQuery(statuses=("COMPLETED",)), "6510"),
            (RunQuery(statuses=("CANCELLING", "COMPLETED")), "65410"),
            (RunQuery(results=("SUCCESS",)), "60"),
            (RunQuery(results=("FAILED", "CANCELLED")), "51"),
            (RunQuery(statuses=("IN_PROGRESS",), results=("SUCCESS",)), ""),
            (RunQuery(statuses=("COMPLETED",), results=("SUCCESS",), created_by="ann"), "60"),
            (RunQuery(workflows=("scale",), statuses=("IN_PROGRESS", "CANCELLING")), "43"),
            (RunQuery(viewer="ann"), "620"),
            (RunQuery(viewer="nobody"), ""),
            (RunQuery(viewer="nobody", open_workflows=frozenset({"scale"})), "543"),
            (RunQuery(viewer="cid", open_workflows=frozenset({"deploy", "none"})), "54210"),
            (RunQuery(viewer="ann", open_workflows=frozenset({"deploy"}), workflows=("deploy", "scale")), "210"),
            (RunQuery(viewer="ann", created_by="bob"), ""),
            (RunQuery(viewer="ann", open_workflows=frozenset({"audit"}), created_by="bob"), "7"),
            (RunQuery(viewer="ann", run_ids=("r0", "r1")), "0"),
            (RunQuery(viewer="ann", open_workflows=frozenset({"scale"}), statuses=("COMPLETED",), limit=2), "65"),
            (RunQuery(open_workflows=frozenset({"scale"})), "76543210"),
        ],
    )
    async def test_a_query_lists_the_runs_it_asks_for_newest_first(
        self, harness: Harness, query: RunQuery, expected: str
    ) -> None:
        runs = await self.fill(harness)

        assert await harness.store.query(query) == [runs[f"r{number}"] for number in expected]

    async def test_runs_of_one_instant_are_listed_each_once_over_all_pages(self, harness: Harness) -> None:
        await save(harness, *(make_run(f"r{i:02}") for i in range(25)))

        seen = []
        for offset in (0, 10, 20):
            seen += await ids(harness, RunQuery(limit=10, offset=offset))

        assert seen == [f"r{i:02}" for i in reversed(range(25))]

    async def test_paging_misses_nothing_when_new_runs_come_in_between(self, harness: Harness) -> None:
        await save(harness, *(make_run(f"r{i:02}", at=START + i) for i in range(30)))
        seen: list[str] = []

        for page in range(4):
            seen += await ids(harness, RunQuery(limit=10, offset=10 * page))
            await save(harness, make_run(f"new{page}", at=START + 100 + page))

        # what moved down the list while we read it may come twice, nothing is skipped
        assert {f"r{i:02}" for i in range(30)} <= set(seen)

    async def test_a_run_moves_from_status_to_status_in_queries(self, harness: Harness) -> None:
        run = make_run("r1")
        await save(harness, run)
        steps: list[tuple[Run, RunQuery]] = [
            (cancelling(run), RunQuery(statuses=("CANCELLING",))),
            (completed(cancelling(run), "CANCELLED"), RunQuery(statuses=("COMPLETED",), results=("CANCELLED",))),
        ]

        for rev, (later, query) in enumerate(steps, 1):
            await harness.store.save([write(later, rev)])
            assert await harness.store.query(query) == [later]
            assert await ids(harness, RunQuery(statuses=("IN_PROGRESS",))) == []
            assert await ids(harness, RunQuery()) == ["r1"]


class DurableRunStoreSuite(RunStoreSuite):
    async def test_runs_outlive_the_process_in_every_state(self, harness: Harness) -> None:
        before = await self.fill(harness)
        stored = [
            write(calling(make_run("live"), "call", START + 10), 0, OUT, saved_at=START + 3),
            write(completed(called(calling(make_run("over")), external="build-7")), 0),
            write(completed(make_run("unsent")), 0, OUT, OUT),
        ]
        await harness.store.save(stored)

        await harness.reopen()

        assert await harness.store.load(["live", "over", "unsent"]) == {s.run.id: s for s in stored}
        assert {run.id: run for run in await harness.store.query(RunQuery()) if run.id in before} == before
        assert [timer.run_id for timer in await harness.store.due(START + 10, 10)] == ["live"]
        assert await harness.store.find_node_run("live:call") == stored[0].run
        assert await harness.store.find_external("build-7") == [stored[1].run]
        assert {s.run.id for s in await harness.store.unsent(START + 99, 10)} == {"live", "unsent"}

    async def test_compare_and_set_goes_on_where_it_was(self, harness: Harness) -> None:
        run = make_run("r1")
        await save(harness, run)
        await harness.store.save([write(calling(run), 1)])

        await harness.reopen()

        assert await harness.store.save([write(run, 1)]) == [False]
        assert await harness.store.save([write(called(calling(run)), 2), write(make_run("r2"), 0)]) == [True, True]
        await harness.reopen()
        assert (await harness.store.load(["r1"]))["r1"] == write(called(calling(run)), 2)

    async def test_what_was_marked_sent_stays_so_over_an_orderly_end(self, harness: Harness) -> None:
        await harness.store.save([write(make_run("r1"), 0, OUT), write(make_run("r2"), 0, OUT)])
        await harness.store.mark_sent([("r1", 0)])
        await harness.settle()

        await harness.reopen()

        assert [stored.run.id for stored in await harness.store.unsent(START + 1, 10)] == ["r2"]
        assert (await harness.store.load(["r1"]))["r1"] == StoredRun(make_run("r1"), 0, (), START)

    async def test_an_outbox_that_is_filled_again_after_it_was_sent_is_kept(self, harness: Harness) -> None:
        run = make_run("r1")
        await harness.store.save([write(run, 0, OUT)])
        await harness.store.mark_sent([("r1", 0)])
        await harness.settle()
        await harness.store.save([write(calling(run), 1, OUT, OUT)])

        await harness.reopen()

        assert (await harness.store.load(["r1"]))["r1"].outbox == (OUT, OUT)
