"""What receivers may do to a run: be busy, slow, gone, odd, huge; and where calls may not go."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from headrace_dev.settings import Egress
from tests.e2e.house import House, line, node_run, on_change, open_house, outputs, until, webhook
from tests.e2e.receiver import Answer


async def _one_call(house: House, **config: Any) -> dict[str, Any]:
    """The finished run of a workflow with one webhook, `call`."""
    node = webhook("call", house.receiver.url)
    node["config"].update(config)
    await house.save(line("single", on_change(), node))
    return await house.only_run(await house.send())


async def test_a_busy_receiver_is_called_again_after_its_retry_after_with_the_same_webhook_id(house: House) -> None:
    busy = Answer(503, {"busy": True}, {"Retry-After": "1"})
    house.receiver.on("/call", busy, Answer(429, b"slow down"), Answer(data={"ok": True}))

    run = await _one_call(house, retry={"maxAttempts": 4, "backoffSeconds": 0.05})

    calls = house.receiver.calls
    node = node_run(run, "call")
    assert run["result"] == "SUCCESS"
    assert outputs(run)["call"] == {"response": {"status": 200, "data": {"ok": True}}}
    assert {call.webhook_id for call in calls} == {node["identifier"]}
    assert len(calls) == node["attempt"] == 3
    assert all(call.is_signed(house.engine.signing_secret) for call in calls)
    first, second = (later.at - earlier.at for earlier, later in pairwise(calls))
    assert 0.99 <= first < 3.0
    assert second < 0.9
    assert [failed["attempt"] for failed in node["failedAttempts"]] == [1, 2]
    assert "503" in node["failedAttempts"][0]["error"]


@pytest.mark.parametrize("header", ["\u00b2", "soon", "-1", "Wed, 21 Oct 2015 07:28:00 -0000", "1e9", ""])
async def test_a_retry_after_that_says_nothing_usable_is_ignored(house: House, header: str) -> None:
    house.receiver.on("/call", Answer(503, {}, {"Retry-After": header}), Answer(data={}))

    run = await _one_call(house, retry={"maxAttempts": 2, "backoffSeconds": 0.01})

    assert (run["result"], len(house.receiver.calls)) == ("SUCCESS", 2)


async def test_a_receiver_that_stays_broken_fails_the_node_and_the_run_after_the_last_attempt(house: House) -> None:
    house.receiver.on("/call", Answer(500, {"why": "no disk"}))

    run = await _one_call(house, retry={"maxAttempts": 2, "backoffSeconds": 0.01})

    node = node_run(run, "call")
    assert (run["result"], node["result"], len(house.receiver.calls)) == ("FAILED", "FAILED", 2)
    assert "500" in node["error"]
    assert "no disk" in node["error"]
    assert outputs(run)["call"]["response"] == {"status": 500, "data": {"why": "no disk"}}


async def test_without_a_retry_policy_nothing_is_tried_again(house: House) -> None:
    house.receiver.on("/call", Answer(503))

    run = await _one_call(house)

    assert (run["result"], len(house.receiver.calls)) == ("FAILED", 1)


async def test_on_failure_continue_goes_on_and_later_nodes_read_the_error(house: House) -> None:
    url = house.receiver.url
    house.receiver.on("/first", Answer(404, {"error": "gone"}))
    body = {"message": "{{ .outputs.first.error.message }}", "status": "{{ .outputs.first.response.status }}"}
    await house.save(
        line("brave", on_change(), webhook("first", url, onFailure="continue"), webhook("second", url, body=body))
    )

    run = await house.only_run(await house.send())

    assert (run["result"], node_run(run, "first")["result"]) == ("SUCCESS", "FAILED")
    received = house.receiver.at("/second")[0].json
    assert received["status"] == 404
    assert "404" in received["message"]


@pytest.mark.parametrize(("on_timeout", "result"), [("fail", "FAILED"), ("continue", "SUCCESS")])
async def test_a_synchronous_time_out_ends_as_the_node_says(house: House, on_timeout: str, result: str) -> None:
    gate = asyncio.Event()
    house.receiver.on("/slow", Answer(gate=gate))
    slow = webhook("slow", house.receiver.url, timeoutSeconds=1, onTimeout=on_timeout)
    after = webhook("after", house.receiver.url, body={"seen": "{{ .outputs.slow }}"})
    await house.save(line("patient", on_change(), slow, after))

    run = await house.only_run(await house.send())
    gate.set()

    assert (run["result"], node_run(run, "slow")["result"]) == (result, result)
    if on_timeout == "continue":
        assert outputs(run)["slow"] == {"timeout": True}
        assert house.receiver.at("/after")[0].json == {"seen": {"timeout": True}}
    else:
        assert "1 s" in node_run(run, "slow")["error"]
        assert house.receiver.at("/after") == []


async def test_an_asynchronous_time_out_that_continues_waits_for_the_callback(house: House) -> None:
    gate = asyncio.Event()
    house.receiver.on("/slow", Answer(gate=gate))
    slow = webhook("slow", house.receiver.url, synchronized=False, timeoutSeconds=1, onTimeout="continue")
    await house.save(line("patient", on_change(), slow))
    run_id = (await house.started_by(await house.send()))[0]
    call = (await house.receiver.called("/slow"))[0]

    run = await house.run_when(run_id, lambda run: node_run(run, "slow")["blockedOn"]["kind"] == "report")
    assert node_run(run, "slow")["output"] == {"timeout": True}
    gate.set()
    report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"late": True}}
    await house.call("PATCH", f"/v1/workflows/nodes/runs/{call.webhook_id}", report)

    assert outputs(await house.finished(run_id))["slow"] == {"timeout": True, "late": True}


DEEP = b"[" * 500 + b"]" * 500


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"<html>no</html>", "<html>no</html>"),
        (b"NaN", "NaN"),
        (b'"text"', "text"),
        (b"[1, 2.5, null]", [1, 2.5, None]),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
        (b"\xff\xfe\0", "\ufffd\ufffd\ufffd"),
        (b'"\\ud800"', '"\\ud800"'),
        (b"123456789012345678901234567890", 1.2345678901234568e29),
        (DEEP, DEEP.decode()),
        (b"[" * 220 + b"]" * 220, (b"[" * 220 + b"]" * 220).decode()),
        (b"[" * 60 + b"]" * 60, None),
    ],
    ids=[
        "empty", "blank", "html", "nan", "string", "list", "nul", "bytes", "surrogate", "huge-number", "deep",
        "deepish", "flat-enough",
    ],
)  # fmt: skip
async def test_an_answer_of_any_kind_completes_the_node(house: House, sent: bytes, kept: object) -> None:
    house.receiver.on("/call", Answer(data=sent))

    run = await _one_call(house)

    assert run["result"] == "SUCCESS"
    data = outputs(run)["call"]["response"]["data"]
    if kept is not None:
        assert data == kept
    else:
        assert isinstance(data, list)


async def test_an_answer_beyond_256_kib_is_cut_and_flagged(house: House) -> None:
    house.receiver.on("/call", Answer(data=b"x" * 300_000))

    run = await _one_call(house)

    output = outputs(run)["call"]
    assert (run["result"], output["truncated"]) == ("SUCCESS", True)
    assert output["response"]["data"] == "x" * 262_144


async def test_a_redirect_is_not_followed(house: House) -> None:
    house.receiver.on("/call", Answer(302, {}, {"Location": f"{house.receiver.url}/elsewhere"}))

    run = await _one_call(house)

    assert run["result"] == "FAILED"
    assert [call.path for call in house.receiver.calls] == ["/call"]
    assert "302" in node_run(run, "call")["error"]


async def test_a_private_address_is_refused_with_a_message_that_says_what_to_do(tmp_path: Path) -> None:
    async with open_house(tmp_path, egress=Egress()) as house:
        run = await _one_call(house)

        error = node_run(run, "call")["error"]
        assert (run["result"], house.receiver.calls) == ("FAILED", [])
        assert "127.0.0.1" in error
        assert "HEADRACE_EGRESS__ALLOWED_NETWORKS" in error


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"url": "{{ .outputs.nothing.url }}"}, "url"),
        ({"url": "http://[::1/"}, "URL"),
        ({"url": "http://exa\u2100mple.com/"}, "URL"),
        ({"url": "ftp://127.0.0.1/"}, "http://"),
        ({"url": "http://127.0.0.1:1/"}, "127.0.0.1:1"),
        ({"headers": {"X-A": "{{ [1] }}"}}, "X-A"),
        ({"headers": {"X-A": "line\nbreak"}}, "X-A"),
        ({"headers": {"Host": "elsewhere"}}, "Host"),
        ({"body": {"a": "{{ error(1) }}"}}, "error"),
    ],
)
async def test_a_request_that_cannot_be_made_fails_the_node_with_a_sentence_about_it(
    house: House, config: dict[str, Any], said: str
) -> None:
    run = await _one_call(house, **config)

    assert run["result"] == "FAILED"
    assert said.lower() in node_run(run, "call")["error"].lower()
    assert "could not perform" not in node_run(run, "call")["error"]


async def test_a_receiver_that_hangs_up_fails_the_attempt_and_the_next_one_succeeds(house: House) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    retry = {"maxAttempts": 2, "backoffSeconds": 0.01}
    gone = webhook("gone", f"http://127.0.0.1:{port}", retry=retry, onFailure="continue")
    await house.save(line("stubborn", on_change(), gone, webhook("after", house.receiver.url)))
    run = await house.only_run(await house.send())
    server.close()
    await server.wait_closed()

    assert (run["result"], node_run(run, "gone")["result"]) == ("SUCCESS", "FAILED")
    assert len(node_run(run, "gone")["failedAttempts"]) == 1
    assert len(house.receiver.at("/after")) == 1


async def test_more_calls_than_the_engine_makes_at_once_are_all_made_in_the_end(tmp_path: Path) -> None:
    async with open_house(tmp_path, max_in_flight=5) as house:
        house.receiver.on("/call", Answer(delay=0.05, data={}))
        await house.save(line("many", on_change(), webhook("call", house.receiver.url)))
        for number in range(30):
            await house.send(eventId=str(number))

        async def over() -> bool:
            return len(await house.runs("many", results="SUCCESS")) == 30

        await until(over, "30 runs")
        assert len(house.receiver.calls) == 30
