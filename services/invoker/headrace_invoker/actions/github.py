"""GITHUB actions (spec 3.4): a workflow_dispatch that carries our node run's id, found again by it, and followed.

The id travels as an input, and a workflow shows it with `run-name: ... ${{ inputs.headrace_node_run }}`. Only so can
GitHub be asked later whether a dispatch began a run: its API tells titles of runs, not their inputs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from headrace.contracts.pipelines import GITHUB_SUCCESSES, github_id
from headrace.core.commands import InvokeNode
from headrace.core.json import JsonObject
from headrace.core.times import iso
from headrace.ports.caller import Caller
from headrace.ports.clock import Clock
from headrace_invoker.actions import inputs
from headrace_invoker.actions.answers import Answer, TroubleError, UndecidableError, excerpt, kept
from headrace_invoker.actions.client import Client, has_next_page
from headrace_invoker.actions.joblog import JobLog, Stage
from headrace_invoker.actions.pipelines import Found, Sent, View
from headrace_invoker.actions.settings import Github
from headrace_invoker.webhook import InvalidConfigError

_ID = re.compile(r"wfnr_[0-9A-Za-z]{16}")
_SLACK_MS = 60_000
_PER_PAGE = 50
_MOST_PAGES = 5
_HINT = "Check HEADRACE_GITHUB__TOKEN (or __TOKENS): it needs to write and read actions, and to read the repository."


@dataclass(frozen=True, slots=True)
class Order:
    """What a GITHUB config asks for. `ref` is None where the default branch is meant."""

    org: str
    repo: str
    workflow: str
    ref: str | None
    inputs: dict[str, str]
    reports: bool

    @property
    def place(self) -> str:
        """The path of the repository."""
        return f"/repos/{self.org}/{self.repo}"

    @property
    def workflow_place(self) -> str:
        return f"{self.place}/actions/workflows/{self.workflow}"


class GithubProvider:
    """Makes the pipelines of GITHUB actions."""

    def __init__(self, settings: Github, caller: Caller, clock: Clock) -> None:
        self._settings = settings
        self._caller = caller
        self._clock = clock

    def open(self, request: InvokeNode) -> "GithubPipeline":
        """See Provider."""
        order = read_order(request)
        token = self._settings.token_for(order.org, f"{order.org}/{order.repo}")
        if token is None:
            raise InvalidConfigError(f"There is no token for {order.org} at GitHub: set HEADRACE_GITHUB__TOKEN.")
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        client = Client(
            self._caller, self._clock, "GitHub", self._settings.url, headers, _HINT, request.node_run_id
        )  # fmt: skip
        return GithubPipeline(client, order, request, self._settings.correlation_input)


class GithubPipeline:
    """One node run's workflow run at GitHub."""

    who = "GitHub"

    def __init__(self, client: Client, order: Order, request: InvokeNode, correlation_input: str) -> None:
        self._client = client
        self._order = order
        self._id = request.node_run_id
        self._since = request.origin.node_at if request.origin else 0
        self._input = correlation_input
        self.can_ask = bool(correlation_input)
        self.follows = order.reports

    async def send(self) -> Sent:
        """Dispatch. What GitHub refuses as a field that it does not know (422) had no effect, and is left out."""
        ref = self._order.ref or await self._default_branch()
        details, marked = True, bool(self._input)
        while True:
            body = dispatch_body(self._order, ref, (self._input, self._id) if marked else None, details)
            answer = await self._client.post(
                f"{self._order.workflow_place}/dispatches", body, wanted=frozenset({422})
            )  # fmt: skip
            if answer.status != 422:
                break
            said = answer.body.decode("utf-8", "replace")
            if details and "return_run_details" in said:
                details = False
            elif marked and "nexpected inputs" in said and self._input in said:
                marked = False
            else:
                raise refusal(answer)
        run = run_of_dispatch(answer)
        notes: JsonObject = {"marked": marked, "ref": ref}
        return Sent(None if run is None else await self._known(run), notes)

    async def ask(self, notes: JsonObject) -> Found | None:
        """See Pipeline. With `notes` of a dispatch that carried no id, the only run since then is the one."""
        runs = await self._dispatched_runs()
        mine = next((run for run in runs if self._id in titles(run)), None)
        if mine is not None:
            return found_run(mine)
        strangers = [run for run in runs if not _ID.search(titles(run))]
        if notes.get("marked") is False:
            same = [run for run in strangers if run.get("head_branch") == notes.get("ref")]
            if len(same) > 1:
                raise UndecidableError(f"{len(same)} runs began in that time, and none says for whom. {self._advice()}")
            return found_run(same[0]) if same else None
        if not notes and strangers and len(strangers) == len(runs):
            raise UndecidableError(f"{len(runs)} runs began since then, and none says for whom. {self._advice()}")
        return None

    async def look(self, ids: JsonObject) -> View:
        """See Pipeline."""
        answer = await self._client.get(f"{self._order.place}/actions/runs/{ids.get('run')}")
        run = answer.object()
        log = JobLog(ids.get("jobs"))
        for job in await self._jobs(ids.get("run")):
            if log.add(str(job.get("id")), str(job.get("name")), stages(job), ended(job)):
                await self._add_job_log(log, job)
        found = found_run(run)
        found.ids["jobs"] = log.seen
        status, conclusion = answer.text(run, "status"), run.get("conclusion")
        if status != "completed":
            return View(found, status, None, log.lines)
        return View(found, str(conclusion), conclusion in GITHUB_SUCCESSES, log.lines)

    async def _default_branch(self) -> str:
        answer = await self._client.get(self._order.place)
        return answer.text(answer.object(), "default_branch")

    async def _known(self, run: int) -> Found:
        """The run with all its ids; without them for now if GitHub does not show it yet."""
        try:
            return found_run((await self._client.get(f"{self._order.place}/actions/runs/{run}")).object())
        except TroubleError:
            return Found({"run": run}, {"workflowRunId": run})

    async def _dispatched_runs(self) -> list[JsonObject]:
        """The runs that dispatches began since the node run did."""
        since = quote(f">={iso(max(0, self._since - _SLACK_MS))[:19]}Z")
        runs: list[JsonObject] = []
        for page in range(1, _MOST_PAGES + 1):
            query = f"event=workflow_dispatch&created={since}&per_page={_PER_PAGE}&page={page}"
            answer = await self._client.get(f"{self._order.workflow_place}/runs?{query}")
            runs += answer.objects("workflow_runs")
            if not has_next_page(answer.headers):
                return runs
        if any(self._id in titles(run) for run in runs):
            return runs
        raise UndecidableError(f"More than {len(runs)} runs of this workflow began since then.")

    async def _jobs(self, run: object) -> list[JsonObject]:
        jobs: list[JsonObject] = []
        for page in range(1, _MOST_PAGES + 1):
            answer = await self._client.get(f"{self._order.place}/actions/runs/{run}/jobs?per_page=100&page={page}")
            jobs += answer.objects("jobs")
            if not has_next_page(answer.headers):
                break
        return jobs

    async def _add_job_log(self, log: JobLog, job: JsonObject) -> None:
        """The end of a job's log: GitHub sends on to another place, where our token must not go."""
        try:
            path = f"{self._order.place}/actions/jobs/{job.get('id')}/logs"
            answer = await self._client.get(path, wanted=frozenset({302}))
            if answer.status == 302:
                answer = await self._client.elsewhere(answer.headers.get("location", ""), log.MOST_BYTES)
            log.add_text(answer.body)
        except TroubleError as trouble:
            log.add_missing(trouble.message)

    def _advice(self) -> str:
        return f"Let the workflow show its input {self._input}: docs/actions.md says how."


def read_order(request: InvokeNode) -> Order:
    """What the rendered config asks for. Raises InvalidConfigError."""
    config = request.config if isinstance(request.config, dict) else {}
    given = dict(inputs.members(config, "workflowInputs"))
    ref = given.pop("ref", None)
    if ref is not None and not isinstance(ref, str):
        raise InvalidConfigError("`workflowInputs.ref` must be the name of a branch or a tag.")
    return Order(
        inputs.name(config, "org"), inputs.name(config, "repo"), inputs.name(config, "workflow"), ref or None,
        inputs.as_texts(given), inputs.switch(config, "reportWorkflowStatus", True),
    )  # fmt: skip


def dispatch_body(order: Order, ref: str, mark: tuple[str, str] | None, details: bool) -> JsonObject:
    """The body of a dispatch. `mark` is the input with our id, `details` asks GitHub to say which run it begins."""
    given = {**order.inputs, **({mark[0]: mark[1]} if mark else {})}
    return {"ref": ref, "inputs": {**given}, **({"return_run_details": True} if details else {})}


def run_of_dispatch(answer: Answer) -> int | None:
    """The run that a dispatch began; None where GitHub does not say it (204). Raises TroubleError."""
    if answer.status == 204 or not answer.body.strip():
        return None
    return answer.number(answer.object(), "workflow_run_id")


def refusal(answer: Answer) -> TroubleError:
    """The trouble with a dispatch that GitHub understood and does not take."""
    message = f"GitHub refused the dispatch{excerpt(answer.body)}"
    return TroubleError("status", message, output=kept(answer.status, answer.body))


def titles(run: JsonObject) -> str:
    """Where a run may show our id."""
    return f"{run.get('display_title')} {run.get('name')}"


def found_run(run: JsonObject) -> Found:
    """A run as GitHub shows it. Raises TroubleError for what is none."""
    number = run.get("id")
    if type(number) is not int:
        raise TroubleError("invalid", "GitHub showed a run without an id.", retryable=True)
    repository = run.get("repository")
    owner = repository.get("owner") if isinstance(repository, dict) else None
    owner_id = owner.get("id") if isinstance(owner, dict) else None
    repository_id = repository.get("id") if isinstance(repository, dict) else None
    external = None
    if isinstance(owner_id, int) and isinstance(repository_id, int):
        external = github_id(owner_id, repository_id, number)
    link = run.get("html_url")
    output: JsonObject = {"workflowRunId": number}
    if isinstance(link, str):
        output["workflowRunUrl"] = link
    return Found({"run": number}, output, external, link if isinstance(link, str) else None)


def stages(job: JsonObject) -> Sequence[Stage]:
    """The steps of a job that are over."""
    steps = job.get("steps")
    known = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return [(str(step.get("name")), str(step.get("conclusion"))) for step in known if step.get("status") == "completed"]


def ended(job: JsonObject) -> str | None:
    """How a job ended; None while it is at work."""
    return str(job.get("conclusion")) if job.get("status") == "completed" else None
