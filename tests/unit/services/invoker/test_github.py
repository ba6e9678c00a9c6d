"""GITHUB actions against a server that speaks GitHub's API: dispatched once, found again, followed to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed, InvokeNode
from headrace_invoker.actions.settings import Github as Settings
from tests.thirdparty.base import GARBAGE, Mishap, answering, closing, flooding, truncating
from tests.thirdparty.github import TOKEN, Github, Workflow
from tests.unit.services.invoker.desk import NODE_RUN, Desk, node_request

DISPATCH = "/dispatches$"
LIST = "/workflows/[^/]+/runs$"


def deploy(**changes: Any) -> InvokeNode:
    config = {"org": "acme", "repo": "shop", "workflow": "deploy.yml", **changes.pop("config", {})}
    return node_request("GITHUB", config, **changes)


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    server = Github()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def desk(github: Github) -> AsyncIterator[Desk]:
    opened = Desk.at(github.url)
    github._now = opened.clock.now
    yield opened
    await opened.close()


def only_run(github: Github) -> int:
    (number,) = github.runs
    return number


async def test_a_workflow_is_dispatched_followed_and_its_end_is_the_nodes(github: Github, desk: Desk) -> None:
    request = deploy(config={"workflowInputs": {"ref": "release", "env": {"name": "prod"}}})
    await desk.ask(request)
    number = only_run(github)

    accepted = desk.waiting
    assert accepted.external_run_id == f"gh_11_22_{number}"
    assert accepted.links == (f"https://github.test/acme/shop/actions/runs/{number}",)
    assert accepted.output == {"workflowRunId": number, "workflowRunUrl": accepted.links[0]}
    assert github.at("POST", DISPATCH)[0].json == {
        "ref": "release", "inputs": {"env": '{"name":"prod"}', "headrace_node_run": NODE_RUN},
        "return_run_details": True,
    }  # fmt: skip

    github.work(number, "build", ("checkout", "success"))
    await desk.poll(request)
    assert desk.waiting.output["status"] == "in_progress"
    github.work(number, "build", ("checkout", "success"), ("compile", "success"), ended="success")
    github.finish(number)
    await desk.poll(request)

    assert desk.done.output["status"] == "success"
    told = [line for line in desk.lines if line.startswith("build")]
    assert told[:3] == ["build / checkout: success", "build / compile: success", "build: success"]
    assert told[3].startswith("build | 2026-11-22T09:00:00Z line 1980 of ")
    assert len(told) == 3 + 20


async def test_without_a_ref_the_default_branch_is_dispatched(github: Github, desk: Desk) -> None:
    await desk.ask(deploy())

    assert github.at("POST", DISPATCH)[0].json["ref"] == "main"


@pytest.mark.parametrize(
    ("conclusion", "succeeds"),
    [("success", True), ("skipped", True), ("neutral", True), ("failure", False), ("cancelled", False),
     ("timed_out", False), ("action_required", False)],
)  # fmt: skip
async def test_the_conclusion_decides(github: Github, desk: Desk, conclusion: str, succeeds: bool) -> None:
    request = deploy()
    await desk.ask(request)
    github.finish(only_run(github), conclusion)

    await desk.poll(request)

    if succeeds:
        assert desk.done.output["status"] == conclusion
    else:
        assert (desk.failed.kind, desk.failed.retryable) == ("status", False)
        assert conclusion in desk.failed.message
        assert desk.failed.output is not None
        assert desk.failed.output["workflowRunId"] == only_run(github)


@pytest.mark.parametrize("reports", [False, "false"])
async def test_a_workflow_that_reports_itself_is_not_followed(github: Github, desk: Desk, reports: Any) -> None:
    await desk.run(deploy(config={"reportWorkflowStatus": reports}))

    assert desk.waiting.poll_after_seconds is None
    assert desk.waiting.external_run_id == f"gh_11_22_{only_run(github)}"


async def test_looks_become_rarer(github: Github, desk: Desk) -> None:
    request = deploy()
    await desk.ask(request)
    for _ in range(12):
        await desk.poll(request)

    assert desk.polls[0] == 5.0
    assert desk.polls == sorted(desk.polls)
    assert desk.polls[-1] == 60.0


async def test_lists_are_read_to_their_last_page(github: Github, desk: Desk) -> None:
    request = deploy()
    await desk.ask(request)
    github.most_per_page = 2
    number = only_run(github)
    for index in range(5):
        github.work(number, f"job{index}", ended="skipped")

    await desk.poll(request)

    assert [f"job{index}: skipped" in desk.lines for index in range(5)] == [True] * 5


async def test_the_log_of_a_job_is_fetched_without_our_token(github: Github, desk: Desk) -> None:
    request = deploy()
    await desk.ask(request)
    github.work(only_run(github), "build", ended="failure")
    await desk.poll(request)

    (blob,) = github.at("GET", "^/blob/")
    assert "authorization" not in blob.headers
    assert blob.headers["range"] == "bytes=-16384"
    assert not any(TOKEN in line for line in desk.lines)


async def test_a_job_log_that_cannot_be_read_fails_nothing(github: Github, desk: Desk) -> None:
    request = deploy()
    await desk.ask(request)
    github.work(only_run(github), "build", ended="failure")
    github.go_wrong("GET", "/logs$", answering(410, {"message": "Gone"}))
    await desk.poll(request)

    assert desk.waiting.output["status"] == "in_progress"
    assert any("its log could not be read" in line for line in desk.lines)


class TestOlderServers:
    """Before February 2026 a dispatch was answered with nothing: the run is looked for by the id that it shows."""

    @pytest.fixture(autouse=True)
    def _old(self, github: Github) -> None:
        github.knows_details = False

    @pytest.mark.parametrize("lag", [0, 3])
    async def test_the_run_is_found_by_the_id_it_shows(self, github: Github, desk: Desk, lag: int) -> None:
        github.lag = lag
        github.begin(title="Deploy wfnr_AAAAAAAAAAAAAAAA")
        await desk.run(deploy(), until="follow")

        assert len(github.runs) == 2
        assert desk.waiting.output["workflowRunId"] == max(github.runs)
        assert len(github.at("GET", LIST)) == lag + 1

    async def test_a_workflow_without_the_input_is_dispatched_without_it(self, github: Github, desk: Desk) -> None:
        github.workflows["deploy.yml"] = Workflow(inputs=set(), shown=None)
        github.begin(ago_ms=3_600_000)
        await desk.run(deploy(), until="follow")

        assert len(github.runs) == 2
        assert desk.waiting.output["workflowRunId"] == max(github.runs)

    async def test_one_that_cannot_be_told_from_another_is_not_guessed(self, github: Github, desk: Desk) -> None:
        github.workflows["deploy.yml"] = Workflow(inputs=set(), shown=None)
        await desk.ask(deploy())
        github.begin()
        await desk.poll(deploy())

        assert desk.failed.kind == "unknown-outcome"
        assert "headrace_node_run" in desk.failed.message

    async def test_one_that_never_shows_is_given_up(self, github: Github, desk: Desk) -> None:
        github.lag = 10_000
        await desk.run(deploy())

        assert desk.failed.kind == "unknown-outcome"
        assert len(github.runs) == 1


class TestDoubt:
    """Asked first, repeated only if the answer is no."""

    @pytest.mark.parametrize("mishap", [closing, truncating, GARBAGE, flooding, answering(502, {"message": "Bad"})])
    async def test_a_dispatch_that_took_effect_is_not_repeated(
        self, github: Github, desk: Desk, mishap: Mishap
    ) -> None:
        github.lag = 1
        github.go_wrong("POST", DISPATCH, mishap, after=True)
        request = deploy()
        await desk.ask(request)
        assert desk.waiting.poll_state is not None
        assert desk.waiting.poll_state["step"] == "ask"
        github.lag = 0
        await desk.poll(request)

        assert desk.waiting.external_run_id == f"gh_11_22_{only_run(github)}"
        assert len(github.at("POST", DISPATCH)) == 1

    @pytest.mark.parametrize("mishap", [closing, answering(503, {"message": "Unavailable"})])
    async def test_one_that_did_not_is_a_failure_that_may_be_tried_again(
        self, github: Github, desk: Desk, mishap: Mishap
    ) -> None:
        github.go_wrong("POST", DISPATCH, mishap)
        await desk.run(deploy())

        assert desk.failed.retryable
        assert desk.failed.message.endswith("It was not begun.")
        assert github.runs == {}

    async def test_the_next_attempt_asks_before_it_dispatches(self, github: Github, desk: Desk) -> None:
        await desk.ask(deploy())
        number = only_run(github)
        again = Desk(desk.callers, desk.settings, desk.log, desk.clock)
        await again.ask(deploy(id=f"{NODE_RUN}:2", attempt=2))

        assert again.waiting.output["workflowRunId"] == number
        assert len(github.runs) == 1

    async def test_what_another_process_may_have_dispatched_is_looked_for_twice_and_then_dispatched(
        self, github: Github, desk: Desk
    ) -> None:
        await desk.run(deploy(), doubtful=True, until="follow")

        assert len(github.at("GET", LIST)) == 2
        assert desk.polls == [10.0, 0.0]
        assert len(github.runs) == 1

    async def test_what_shows_late_is_not_dispatched_again(self, github: Github, desk: Desk) -> None:
        github.lag = 1
        github.begin(title=f"Deploy {NODE_RUN}")
        await desk.run(deploy(), doubtful=True, until="follow")

        assert len(github.runs) == 1
        assert github.at("POST", DISPATCH) == []

    @pytest.mark.parametrize("step", ["ask", "send"])
    async def test_doubt_about_a_poll_begins_with_asking_again(self, github: Github, desk: Desk, step: str) -> None:
        request = deploy()
        await desk.run(request, doubtful=True, until=step)
        github.begin(title=f"Deploy {NODE_RUN}")
        await desk.poll(request, doubtful=True)

        assert desk.waiting.output["workflowRunId"] == only_run(github)

    @pytest.mark.parametrize("step", ["ask", "send"])
    async def test_doubt_outlives_an_answer_that_does_not_come(self, github: Github, desk: Desk, step: str) -> None:
        request = deploy()
        await desk.run(request, doubtful=True, until=step)
        github.begin(title=f"Deploy {NODE_RUN}")
        github.lag = 1
        github.go_wrong("GET", LIST, closing)
        await desk.poll(request, doubtful=True)
        while desk.waiting.external_run_id is None:
            await desk.poll(request)

        assert only_run(github)

    async def test_runs_that_do_not_say_for_whom_leave_the_answer_open(self, github: Github, desk: Desk) -> None:
        github.begin(title="Deploy")
        await desk.run(deploy(), doubtful=True)

        assert (desk.failed.kind, desk.failed.retryable) == ("unknown-outcome", False)
        assert github.at("POST", DISPATCH) == []

    async def test_runs_by_hand_do_not_where_others_show_their_ids(self, github: Github, desk: Desk) -> None:
        github.begin(title="Deploy")
        github.begin(title="Deploy wfnr_AAAAAAAAAAAAAAAA")
        await desk.run(deploy(), doubtful=True, until="follow")

        assert len(github.runs) == 3

    async def test_runs_of_before_the_node_run_count_for_nothing(self, github: Github, desk: Desk) -> None:
        github.begin(title="Deploy", ago_ms=120_000)
        await desk.run(deploy(), doubtful=True, until="follow")

        assert len(github.runs) == 2

    async def test_a_list_that_is_too_long_to_read_leaves_the_answer_open(self, github: Github, desk: Desk) -> None:
        github.most_per_page = 1
        for number in range(6):
            github.begin(title=f"Deploy wfnr_{number:016}")
        await desk.run(deploy(), doubtful=True)

        assert desk.failed.kind == "unknown-outcome"

    async def test_asking_goes_on_while_the_third_party_is_away(self, github: Github, desk: Desk) -> None:
        github.begin(title=f"Deploy {NODE_RUN}")
        github.go_wrong("GET", LIST, closing, times=3)
        await desk.run(deploy(), doubtful=True, until="follow")

        assert desk.polls == [5.0, 10.0, 20.0]
        assert len(github.runs) == 1


class TestTroubles:
    """Whatever GitHub answers, the reason is one that a person understands."""

    @pytest.mark.parametrize(
        ("mishap", "seconds"),
        [
            (answering(403, {"message": "API rate limit exceeded"}, x_ratelimit_remaining="0",
                       x_ratelimit_reset="1750000090"), 90.0),
            (answering(429, {"message": "slow down"}, retry_after="17"), 17.0),
            (answering(403, {"message": "You have exceeded a secondary rate limit."}), 60.0),
        ],
    )  # fmt: skip
    async def test_a_rate_limit_says_when_to_try_again(
        self, github: Github, desk: Desk, mishap: Mishap, seconds: float
    ) -> None:
        github.go_wrong("POST", DISPATCH, mishap)
        await desk.ask(deploy())

        assert (desk.failed.retryable, desk.failed.retry_after_seconds) == (True, seconds)
        assert "limits our rate" in desk.failed.message

    async def test_a_rate_limit_postpones_a_look(self, github: Github, desk: Desk) -> None:
        request = deploy()
        await desk.ask(request)
        github.go_wrong("GET", "/runs/[0-9]+$", answering(429, {}, retry_after="900"))
        await desk.poll(request)
        assert desk.waiting.poll_after_seconds == 900.0
        github.finish(only_run(github))
        await desk.poll(request)

        assert desk.done.output["status"] == "success"

    @pytest.mark.parametrize("mishap", [closing, truncating, GARBAGE, flooding, answering(500, b"oops")])
    async def test_a_look_that_fails_is_repeated(self, github: Github, desk: Desk, mishap: Mishap) -> None:
        request = deploy()
        await desk.ask(request)
        github.finish(only_run(github))
        github.go_wrong("GET", "/runs/[0-9]+$", mishap, times=2)
        await desk.poll(request)
        await desk.poll(request)
        await desk.poll(request)

        assert desk.done.output["status"] == "success"

    async def test_after_an_hour_of_failures_the_node_fails(self, github: Github, desk: Desk) -> None:
        request = deploy()
        await desk.ask(request)
        github.go_wrong("GET", "/runs/[0-9]+$", answering(503, {"message": "down"}), times=1_000)
        while isinstance(desk.last, Accepted):
            await desk.poll(request)

        assert 3_600 < sum(desk.polls) < 4_500
        assert "how it stands" in desk.failed.message

    async def test_a_run_that_was_deleted_fails_the_node(self, github: Github, desk: Desk) -> None:
        request = deploy()
        await desk.ask(request)
        github.runs.clear()
        await desk.poll(request)

        assert "404" in desk.failed.message

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"workflow": "nothing.yml"}, "404"),
            ({"workflowInputs": {"ref": "gone"}}, "No ref found for: gone"),
            ({"workflowInputs": {"colour": "red"}}, 'Unexpected inputs provided: ["colour"]'),
            ({"repo": "../../user"}, "`repo`"),
            ({"org": ""}, "`org`"),
            ({"workflowInputs": "no"}, "`workflowInputs`"),
            ({"reportWorkflowStatus": "perhaps"}, "`reportWorkflowStatus`"),
        ],
    )
    async def test_what_github_or_we_refuse_fails_at_once(
        self, github: Github, desk: Desk, config: dict[str, Any], message: str
    ) -> None:
        await desk.ask(deploy(config=config))

        assert not desk.failed.retryable
        assert message in desk.failed.message
        assert github.runs == {}

    async def test_refused_credentials_say_which_setting_to_look_at(self, github: Github) -> None:
        desk = Desk.at(github.url, github=Settings(url=github.url, token="ghp_expired_secret"))
        await desk.ask(deploy())
        await desk.close()

        assert "HEADRACE_GITHUB__TOKEN" in desk.failed.message
        assert "ghp_expired_secret" not in repr((desk.outcomes, desk.lines, desk.settings))

    async def test_without_credentials_nothing_is_called(self, github: Github) -> None:
        desk = Desk.at(github.url, github=Settings(url=github.url))
        await desk.ask(deploy())
        await desk.close()

        assert "HEADRACE_GITHUB__TOKEN" in desk.failed.message
        assert github.received == []

    async def test_a_token_is_not_taken_along_to_another_place(self, github: Github, desk: Desk) -> None:
        github.go_wrong("POST", DISPATCH, answering(307, {}, Location="http://127.0.0.1:1/"))
        await desk.ask(deploy())

        assert "moved" in desk.failed.message

    async def test_the_raw_answer_is_kept_up_to_a_limit(self, github: Github, desk: Desk) -> None:
        github.go_wrong("POST", DISPATCH, answering(404, b"x" * 200_000))
        await desk.ask(deploy())

        assert desk.failed.output is not None
        assert len(str(desk.failed.output)) < 70_000
        assert desk.failed.output["truncated"] is True

    async def test_at_most_once_asks_as_well(self, github: Github, desk: Desk) -> None:
        github.go_wrong("POST", DISPATCH, closing, after=True)
        await desk.run(replace(deploy(), delivery="at_most_once"), until="follow")

        assert len(github.runs) == 1
        assert not isinstance(desk.last, Failed)
