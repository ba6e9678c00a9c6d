"""Events of one entity: one run at a time, the latest, none meanwhile, or one for all of them (docs/triggers.md)."""

from typing import Any

from tests.e2e.house import House, change, line, node_run, on_change, until, webhook


def _slow(house: House, **trigger: Any) -> dict[str, Any]:
    """A workflow whose runs are at work until somebody reports."""
    return line("w", on_change(**trigger), webhook("call", house.receiver.url, synchronized=False))


async def _run_of(house: House, event: str) -> str:
    (run_id,) = await house.started_by(event)
    return run_id


async def _report(house: House, run_id: str) -> dict[str, Any]:
    """The work of a run is done; the run, once it is over."""

    def at_work(run: dict[str, Any]) -> bool:
        return any(node["node"]["identifier"] == "call" for node in run["nodeRuns"])

    run = await house.run_when(run_id, at_work)
    path = f"/v1/workflows/nodes/runs/{node_run(run, 'call')['identifier']}"
    await house.call("PATCH", path, {"status": "COMPLETED", "result": "SUCCESS"})
    return await house.finished(run_id)


async def test_runs_of_one_entity_follow_one_another_and_say_who_they_wait_for(house: House) -> None:
    await house.save(_slow(house, perEntity="serial"))
    first, second, third = [await _run_of(house, await house.send(change("billing"))) for _ in range(3)]
    other = await _run_of(house, await house.send(change("shop")))

    waiting = await house.run_when(third, lambda run: "1 more" in run["nodeRuns"][0]["blockedOn"]["reason"])
    blocked = node_run(waiting, "changed")["blockedOn"]
    assert (waiting["status"], [node["node"]["identifier"] for node in waiting["nodeRuns"]]) == (
        "IN_PROGRESS",
        ["changed"],
    )
    assert blocked == {
        "kind": "turn", "until": None,
        "reason": f"its turn: run {first} holds the concurrency key service/billing; 1 more wait before it",
    }  # fmt: skip
    assert (await _report(house, other))["result"] == "SUCCESS", "another entity waits for nobody"
    runs = [await _report(house, run_id) for run_id in (first, second, third)]

    assert [run["result"] for run in runs] == ["SUCCESS"] * 3
    begun = [node_run(run, "changed")["completedAt"] for run in runs]
    assert begun[1] >= runs[0]["completedAt"]
    assert begun[2] >= runs[1]["completedAt"]
    assert runs[2]["variables"]["outputs"]["changed"]["context"]["entityIdentifier"] == "billing"


async def test_a_run_that_waits_can_be_cancelled_and_the_next_one_has_its_place(house: House) -> None:
    await house.save(_slow(house, perEntity="serial"))
    first, second, third = [await _run_of(house, await house.send()) for _ in range(3)]
    await house.run_when(second, lambda run: run["nodeRuns"])

    trigger = node_run(await house.run(second), "changed")["identifier"]
    report = {"status": "COMPLETED", "result": "SUCCESS"}
    refused = await house.call("PATCH", f"/v1/workflows/nodes/runs/{trigger}", report, 409)
    assert refused["error"] == "node_run_held"
    await house.call("POST", f"/v1/workflows/runs/{second}/cancel", {})
    cancelled = await house.finished(second)
    await _report(house, first)

    assert cancelled["result"] == "CANCELLED"
    assert (await _report(house, third))["result"] == "SUCCESS"


async def test_of_the_events_during_a_run_the_latest_wins_and_reads_what_was_before_them(house: House) -> None:
    await house.save(_slow(house, perEntity="latest-wins"))
    events = []
    for tier in ("one", "two", "three"):
        event = change(tier=tier)
        event["diff"]["before"]["properties"] = {"tier": f"before {tier}"}
        events.append(await house.send(event))
    first, second, third = [await _run_of(house, event) for event in events]
    assert (await house.finished(second))["cancelledBy"] == f"headrace:latest-wins:{third}"

    await _report(house, first)
    event = (await _report(house, third))["variables"]["outputs"]["changed"]

    assert event["diff"]["before"]["properties"] == {"tier": "before two"}
    assert event["diff"]["after"]["properties"]["tier"] == "three"
    assert event["merged"] == {"count": 2, "eventIds": events[1:]}


async def test_events_during_a_run_are_dropped_and_the_ledger_says_so(house: House) -> None:
    await house.save(_slow(house, perEntity="drop-while-running"))
    first = await _run_of(house, await house.send())
    (dropped,) = (await house.explained(await house.send()))["verdicts"]
    await _report(house, first)
    await house.settled("headrace-trigger")

    assert (dropped["verdict"], dropped["runId"]) == ("dropped", None)
    assert first in dropped["reason"]
    assert len(await house.runs("w")) == 1
    await _report(house, await _run_of(house, await house.send()))


async def test_events_until_it_is_quiet_start_one_run_and_the_ledger_says_which(house: House) -> None:
    await house.save(line("w", on_change(debounce={"seconds": 0.3}), webhook("call", house.receiver.url)))
    events = [await house.send(change(tier=str(number))) for number in range(5)]
    explained = [(await house.explained(event))["verdicts"][0] for event in events]
    (run_id,) = {verdict["runId"] for verdict in explained}
    run = await house.finished(run_id)

    assert {verdict["verdict"] for verdict in explained} == {"debounced"}
    assert run["variables"]["outputs"]["changed"]["merged"] == {"count": 5, "eventIds": events}
    assert len(await house.runs("w")) == 1
    assert len(house.receiver.calls) == 1


async def test_a_hundred_events_of_one_entity_are_done_one_after_the_other_in_their_order(house: House) -> None:
    call = webhook("call", house.receiver.url, body={"n": "{{ .outputs.changed.diff.after.properties.n }}"})
    await house.save(line("w", on_change(perEntity="serial"), call))
    for number in range(100):
        await house.send(change(n=number))

    async def done() -> bool:
        runs = await house.runs("w")
        return len(runs) == 100 and all(run["status"] == "COMPLETED" for run in runs)

    await until(done, "a hundred runs", 30.0)
    assert [one.json["n"] for one in house.receiver.calls] == list(range(100))
