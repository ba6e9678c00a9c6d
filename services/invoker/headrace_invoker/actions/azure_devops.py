"""AZURE_DEVOPS actions (spec 3.6): an incoming webhook, or, where `project` and `pipelineId` are given, a pipeline run.

An incoming webhook only acknowledges: it cannot be asked anything, and a report ends the node run. A run of a pipeline
carries our node run's id as a variable; the list of builds shows the variables that were given to each.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from headrace.core.commands import InvokeNode
from headrace.core.json import Json, JsonObject
from headrace.core.times import iso
from headrace.ports.caller import Caller
from headrace.ports.clock import Clock
from headrace_invoker.actions import inputs
from headrace_invoker.actions.answers import Answer, TroubleError, UndecidableError, excerpt, kept
from headrace_invoker.actions.client import Client
from headrace_invoker.actions.joblog import JobLog
from headrace_invoker.actions.pipelines import Found, Pipeline, Sent, View
from headrace_invoker.actions.settings import AzureDevops
from headrace_invoker.webhook import InvalidConfigError

_SLACK_MS = 60_000
_MOST_BUILDS = 200
_VERSION = "api-version=7.1"
_HINT = "Check HEADRACE_AZURE_DEVOPS__TOKEN (or __TOKENS): it needs to read and execute builds."


@dataclass(frozen=True, slots=True)
class Order:
    """What a config with `project` and `pipelineId` asks for. `branch` is a whole ref, or None for the default."""

    org: str
    project: str
    pipeline: str
    branch: str | None
    parameters: JsonObject
    variables: dict[str, str]
    reports: bool

    @property
    def place(self) -> str:
        return f"/{quote(self.org)}/{quote(self.project)}/_apis"


class AzureProvider:
    """Makes the pipelines of AZURE_DEVOPS actions, and the calls of incoming webhooks in the shape of one."""

    def __init__(self, settings: AzureDevops, caller: Caller, clock: Clock) -> None:
        self._settings = settings
        self._caller = caller
        self._clock = clock

    def open(self, request: InvokeNode) -> Pipeline:
        """See Provider."""
        config = request.config if isinstance(request.config, dict) else {}
        org = inputs.name(config, "org")
        if config.get("project") is None:
            secret = self._settings.webhook_secret
            client = self._client(request, {})
            return IncomingWebhook(client, config, org, None if secret is None else secret.get_secret_value())
        order = read_order(config, org)
        token = self._settings.token_for(org, f"{org}/{order.project}")
        if token is None:
            raise InvalidConfigError(f"There is no token for {org} at Azure: set HEADRACE_AZURE_DEVOPS__TOKEN.")
        basic = base64.b64encode(f":{token}".encode()).decode()
        client = self._client(request, {"Authorization": f"Basic {basic}"})
        return AzurePipeline(client, order, request, self._settings.correlation_variable)

    def _client(self, request: InvokeNode, headers: dict[str, str]) -> Client:
        return Client(
            self._caller, self._clock, "Azure DevOps", self._settings.url, headers, _HINT, request.node_run_id
        )  # fmt: skip


class IncomingWebhook:
    """A call of an incoming webhook: begun and never seen again."""

    who = "Azure DevOps"
    can_ask = False
    follows = False

    def __init__(self, client: Client, config: JsonObject, org: str, secret: str | None) -> None:
        self._client = client
        self._path = f"/{quote(org)}/_apis/public/distributedtask/webhooks/{inputs.name(config, 'webhook')}"
        payload = config.get("payload")
        self._payload: Json = {} if payload is None else payload
        self._secret = secret

    async def send(self) -> Sent:
        """See Pipeline."""
        signature = signature_of(orjson.dumps(self._payload), self._secret) if self._secret else {}
        answer = await self._client.post(f"{self._path}?api-version=6.0-preview", self._payload, own_headers=signature)
        return Sent(Found({}, kept(answer.status, answer.body)), {})

    async def ask(self, notes: JsonObject) -> Found | None:
        """Cannot be asked."""
        raise UndecidableError("An incoming webhook tells nothing of what it began.")

    async def look(self, ids: JsonObject) -> View:
        """Cannot be looked at."""
        raise TroubleError("invalid", "An incoming webhook tells nothing of what it began.")


class AzurePipeline:
    """One node run's run of a pipeline at Azure DevOps."""

    who = "Azure DevOps"

    def __init__(self, client: Client, order: Order, request: InvokeNode, variable: str) -> None:
        self._client = client
        self._order = order
        self._id = request.node_run_id
        self._since = request.origin.node_at if request.origin else 0
        self._variable = variable
        self.can_ask = bool(variable)
        self.follows = order.reports

    async def send(self) -> Sent:
        """Run it. A variable that the pipeline does not let others set (400) had no effect, and is left out."""
        path = f"{self._order.place}/pipelines/{self._order.pipeline}/runs?{_VERSION}"
        marked = bool(self._variable)
        while True:
            body = run_body(self._order, (self._variable, self._id) if marked else None)
            answer = await self._client.post(path, body, wanted=frozenset({400}))
            if answer.status != 400:
                return Sent(found_run(answer, answer.object(), self._order.org), {})
            if not marked or self._variable not in answer.body.decode("utf-8", "replace"):
                message = f"Azure DevOps refused the run{excerpt(answer.body)}"
                raise TroubleError("status", message, output=kept(answer.status, answer.body))
            marked = False

    async def ask(self, notes: JsonObject) -> Found | None:
        """See Pipeline."""
        since = quote(iso(max(0, self._since - _SLACK_MS)))
        query = f"definitions={self._order.pipeline}&minTime={since}&queryOrder=queueTimeDescending&$top={_MOST_BUILDS}"
        answer = await self._client.get(f"{self._order.place}/build/builds?{query}&{_VERSION}")
        builds = answer.objects("value")
        for build in builds:
            if variables_of(build).get(self._variable) == self._id:
                return found_run(answer, build, self._order.org)
        if builds and all(self._variable not in variables_of(build) for build in builds):
            raise UndecidableError(
                f"{len(builds)} runs began since then, and none says for whom. Let the pipeline take the variable "
                f"{self._variable}: docs/actions.md says how."
            )
        if len(builds) >= _MOST_BUILDS:
            raise UndecidableError(f"More than {_MOST_BUILDS} runs of this pipeline began since then.")
        return None

    async def look(self, ids: JsonObject) -> View:
        """See Pipeline."""
        run = ids.get("run")
        answer = await self._client.get(f"{self._order.place}/pipelines/{self._order.pipeline}/runs/{run}?{_VERSION}")
        data = answer.object()
        state, result = answer.text(data, "state"), data.get("result")
        log = JobLog(ids.get("jobs"))
        for job, stages, how in jobs_of(await self._timeline(run)):
            if log.add(str(job.get("id")), str(job.get("name")), stages, how):
                await self._add_job_log(log, run, job)
        found = found_run(answer, data, self._order.org)
        found.ids["jobs"] = log.seen
        if state != "completed":
            return View(found, state, None, log.lines)
        return View(found, str(result), result == "succeeded", log.lines)

    async def _timeline(self, run: Json) -> list[JsonObject]:
        """Stages, jobs and tasks of the run; none before it has begun."""
        answer = await self._client.get(
            f"{self._order.place}/build/builds/{run}/timeline?{_VERSION}", wanted=frozenset({204, 404})
        )  # fmt: skip
        return answer.objects("records") if answer.status == 200 else []

    async def _add_job_log(self, log: JobLog, run: Json, job: JsonObject) -> None:
        reference = job.get("log")
        number = reference.get("id") if isinstance(reference, dict) else None
        if number is None:
            return
        try:
            answer = await self._client.get(f"{self._order.place}/build/builds/{run}/logs/{number}?{_VERSION}")
            log.add_text(text_of(answer.body))
        except TroubleError as trouble:
            log.add_missing(trouble.message)


def read_order(config: JsonObject, org: str) -> Order:
    """What the rendered config asks for. Raises InvalidConfigError."""
    branch = inputs.text(config, "branch")
    if branch is not None and not branch.startswith("refs/"):
        branch = f"refs/heads/{branch}"
    project = inputs.text(config, "project") or ""
    if not project.strip(".") or "/" in project:
        raise InvalidConfigError("`project` must be the name or the id of a project.")
    return Order(
        org, project, inputs.name(config, "pipelineId"), branch, inputs.members(config, "templateParameters"),
        inputs.as_texts(inputs.members(config, "variables")), inputs.switch(config, "reportPipelineStatus", True),
    )  # fmt: skip


def run_body(order: Order, mark: tuple[str, str] | None) -> JsonObject:
    """The body of a run. `mark` is the variable with our id."""
    variables = {**order.variables, **({mark[0]: mark[1]} if mark else {})}
    body: JsonObject = {"variables": {name: {"value": value} for name, value in variables.items()}}
    if order.parameters:
        body["templateParameters"] = {**inputs.as_texts(order.parameters)}
    if order.branch is not None:
        body["resources"] = {"repositories": {"self": {"refName": order.branch}}}
    return body


def signature_of(body: bytes, secret: str) -> dict[str, str]:
    """What Azure's service connection checks: SHA-1, because it knows nothing else."""
    return {"x-port-signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


def variables_of(build: JsonObject) -> JsonObject:
    """The variables that were given to a build, which lists show as JSON in a text."""
    given = build.get("parameters")
    try:
        data = orjson.loads(given) if isinstance(given, str) else None
    except orjson.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def text_of(log: bytes) -> bytes:
    """A log's text: some servers wrap its lines into JSON."""
    try:
        data = orjson.loads(log)
    except orjson.JSONDecodeError:
        return log
    lines = data.get("value") if isinstance(data, dict) else None
    return "\n".join(map(str, lines)).encode() if isinstance(lines, list) else log


def found_run(answer: Answer, run: JsonObject, org: str) -> Found:
    """A run as Azure DevOps shows it, or a build. Raises TroubleError for what is none."""
    number = answer.number(run, "id")
    links = run.get("_links")
    web = links.get("web") if isinstance(links, dict) else None
    link = web.get("href") if isinstance(web, dict) else None
    output: JsonObject = {"runId": number}
    if isinstance(link, str):
        output["runUrl"] = link
    return Found({"run": number}, output, f"az_{org}_{number}", link if isinstance(link, str) else None)


def jobs_of(records: Sequence[JsonObject]) -> list[tuple[JsonObject, list[tuple[str, str]], str | None]]:
    """The jobs of a timeline, each with its tasks that are over and how it ended itself."""
    jobs = []
    for job in records:
        if job.get("type") == "Job":
            mine = [it for it in records if it.get("parentId") == job.get("id") and it.get("state") == "completed"]
            mine.sort(key=lambda it: it["order"] if isinstance(it.get("order"), int) else 0)  # type: ignore[arg-type,return-value]
            ended = str(job.get("result")) if job.get("state") == "completed" else None
            jobs.append((job, [(str(it.get("name")), str(it.get("result"))) for it in mine], ended))
    return jobs
