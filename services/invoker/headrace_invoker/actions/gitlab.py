"""GITLAB actions (spec 3.5): a pipeline begun with a trigger token, found again by a variable, and followed.

A trigger token can only begin. What follows a pipeline, and asks whether one was begun, is an access token with the
scope `read_api`; to read variables of pipelines its owner must be a maintainer of the project. Without one, only a
report ends the node run, and a doubtful request is repeated as a webhook is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from headrace.contracts.pipelines import GITLAB_FAILURES, GITLAB_SUCCESSES, gitlab_id
from headrace.core.commands import InvokeNode
from headrace.core.json import JsonObject
from headrace.core.times import iso
from headrace.ports.caller import Caller
from headrace.ports.clock import Clock
from headrace_invoker.actions import inputs
from headrace_invoker.actions.answers import Answer, TroubleError, UndecidableError
from headrace_invoker.actions.client import Client, has_next_page
from headrace_invoker.actions.joblog import JobLog
from headrace_invoker.actions.pipelines import Found, Sent, View
from headrace_invoker.actions.settings import Gitlab, lookup
from headrace_invoker.webhook import InvalidConfigError

_SLACK_MS = 60_000
_PER_PAGE = 50
_MOST_PAGES = 5
_OVER = frozenset({"success", "failed", "canceled", "skipped"})
_HINT = "Check HEADRACE_GITLAB__TOKEN (or __TOKENS) and HEADRACE_GITLAB__TRIGGER_TOKENS: docs/actions.md says what for."


@dataclass(frozen=True, slots=True)
class Order:
    """What a GITLAB config asks for. `project` is the whole path: group, subgroups and project."""

    project: str
    ref: str
    variables: dict[str, str]

    @property
    def place(self) -> str:
        return f"/api/v4/projects/{quote(self.project, safe='')}"


class GitlabProvider:
    """Makes the pipelines of GITLAB actions."""

    def __init__(self, settings: Gitlab, caller: Caller, clock: Clock) -> None:
        self._settings = settings
        self._caller = caller
        self._clock = clock

    def open(self, request: InvokeNode) -> "GitlabPipeline":
        """See Provider."""
        order = read_order(request)
        trigger = lookup(self._settings.trigger_tokens, order.project)
        if trigger is None:
            message = f"There is no trigger token for {order.project}: name it in HEADRACE_GITLAB__TRIGGER_TOKENS."
            raise InvalidConfigError(message)
        group = order.project.rpartition("/")[0]
        token = self._settings.token_for(group.partition("/")[0], group, order.project)
        headers = {} if token is None else {"PRIVATE-TOKEN": token}
        client = Client(
            self._caller, self._clock, "GitLab", self._settings.url, headers, _HINT, request.node_run_id
        )  # fmt: skip
        return GitlabPipeline(client, order, trigger, request, self._settings.correlation_variable, token is not None)


class GitlabPipeline:
    """One node run's pipeline at GitLab."""

    who = "GitLab"

    def __init__(
        self, client: Client, order: Order, trigger: str, request: InvokeNode, variable: str, reads: bool
    ) -> None:
        self._client = client
        self._order = order
        self._trigger = trigger
        self._id = request.node_run_id
        self._since = request.origin.node_at if request.origin else 0
        self._variable = variable
        self.can_ask = reads and bool(variable)
        self.follows = reads

    async def send(self) -> Sent:
        """See Pipeline."""
        variables = {**self._order.variables, **({self._variable: self._id} if self._variable else {})}
        body: JsonObject = {"token": self._trigger, "ref": self._order.ref, "variables": {**variables}}
        answer = await self._client.post(f"{self._order.place}/trigger/pipeline", body)
        return Sent(found_pipeline(answer, answer.object()), {})

    async def ask(self, notes: JsonObject) -> Found | None:
        """See Pipeline. Each pipeline of that time is asked for its variables, the newest first."""
        since = quote(iso(max(0, self._since - _SLACK_MS)))
        for page in range(1, _MOST_PAGES + 1):
            query = f"source=trigger&updated_after={since}&order_by=id&sort=desc&per_page={_PER_PAGE}&page={page}"
            answer = await self._client.get(f"{self._order.place}/pipelines?{query}")
            for pipeline in answer.objects():
                if await self._is_mine(answer.number(pipeline, "id")):
                    return found_pipeline(answer, pipeline)
            if not has_next_page(answer.headers):
                return None
        raise UndecidableError(
            f"More than {_PER_PAGE * _MOST_PAGES} pipelines of this project were at work since then."
        )

    async def look(self, ids: JsonObject) -> View:
        """See Pipeline."""
        place = f"{self._order.place}/pipelines/{ids.get('pipeline')}"
        answer = await self._client.get(place)
        pipeline = answer.object()
        log = JobLog(ids.get("jobs"))
        for job in await self._jobs(place):
            if log.add(str(job.get("id")), f"{job.get('stage')}: {job.get('name')}", (), ended(job)):
                await self._add_trace(log, job)
        found = found_pipeline(answer, pipeline)
        found.ids["jobs"] = log.seen
        status = answer.text(pipeline, "status")
        over = status in GITLAB_SUCCESSES | GITLAB_FAILURES
        return View(found, status, status in GITLAB_SUCCESSES if over else None, log.lines)

    async def _is_mine(self, pipeline: int) -> bool:
        try:
            answer = await self._client.get(f"{self._order.place}/pipelines/{pipeline}/variables")
        except TroubleError as trouble:
            if trouble.retryable:
                raise
            raise UndecidableError(f"The token may not read the variables of pipelines. {trouble.message}") from None
        return any(it.get("key") == self._variable and it.get("value") == self._id for it in answer.objects())

    async def _jobs(self, place: str) -> Sequence[JsonObject]:
        jobs: list[JsonObject] = []
        for page in range(1, _MOST_PAGES + 1):
            answer = await self._client.get(f"{place}/jobs?per_page=100&page={page}")
            jobs += answer.objects()
            if not has_next_page(answer.headers):
                break
        return jobs

    async def _add_trace(self, log: JobLog, job: JsonObject) -> None:
        try:
            log.add_text((await self._client.get(f"{self._order.place}/jobs/{job.get('id')}/trace")).body)
        except TroubleError as trouble:
            log.add_missing(trouble.message)


def read_order(request: InvokeNode) -> Order:
    """What the rendered config asks for. Raises InvalidConfigError."""
    config = request.config if isinstance(request.config, dict) else {}
    group, project = inputs.name(config, "groupName", slashes=True), inputs.name(config, "projectName")
    variables = dict(inputs.members(config, "pipelineVariables"))
    ref = variables.pop("ref", None)
    if ref is not None and not isinstance(ref, str):
        raise InvalidConfigError("`pipelineVariables.ref` must be the name of a branch or a tag.")
    ref = ref or inputs.text(config, "defaultRef") or "main"
    return Order(f"{group}/{project}", ref, inputs.as_texts(variables))


def found_pipeline(answer: Answer, pipeline: JsonObject) -> Found:
    """A pipeline as GitLab shows it. Raises TroubleError for what is none."""
    number = answer.number(pipeline, "id")
    project, link = pipeline.get("project_id"), pipeline.get("web_url")
    output: JsonObject = {"pipelineId": number}
    if isinstance(link, str):
        output["pipelineUrl"] = link
    external = gitlab_id(project, number) if isinstance(project, int) else None
    return Found({"pipeline": number}, output, external, link if isinstance(link, str) else None)


def ended(job: JsonObject) -> str | None:
    """How a job ended; None while it is at work, or waits for somebody."""
    status = job.get("status")
    return status if isinstance(status, str) and status in _OVER else None
