"""What GitHub and GitLab call their pipelines, and what their last words mean: in answers and in webhooks alike."""

from dataclasses import dataclass
from typing import Any

GITHUB_SUCCESSES = frozenset({"success", "skipped", "neutral"})
GITLAB_SUCCESSES = frozenset({"success", "skipped"})
GITLAB_FAILURES = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """A webhook's news of a pipeline that is over. `external_id` is what its node run carries."""

    external_id: str
    status: str
    succeeded: bool
    link: str | None


def github_id(owner: int, repository: int, run: int) -> str:
    """The external id of a run of GitHub Actions (spec 3.4)."""
    return f"gh_{owner}_{repository}_{run}"


def gitlab_id(project: int, pipeline: int) -> str:
    """The external id of a pipeline of GitLab (spec 3.5)."""
    return f"gl_{project}_{pipeline}"


def read_github_event(event: Any) -> PipelineReport | None:
    """The report in the body of a `workflow_run` webhook; None when it tells of no run that is over."""
    run = _part(event, "workflow_run")
    repository = _part(event, "repository")
    owner, of, number = _part(repository, "owner").get("id"), repository.get("id"), run.get("id")
    conclusion = run.get("conclusion")
    if not isinstance(event, dict) or event.get("action") != "completed" or not isinstance(conclusion, str):
        return None
    if not isinstance(owner, int) or not isinstance(number, int) or not isinstance(of, int):
        return None
    return PipelineReport(
        github_id(owner, of, number), conclusion, conclusion in GITHUB_SUCCESSES, _link(run.get("html_url"))
    )


def read_gitlab_event(event: Any) -> PipelineReport | None:
    """The report in the body of a pipeline webhook; None when it tells of no pipeline that is over."""
    pipeline = _part(event, "object_attributes")
    of, number = _part(event, "project").get("id"), pipeline.get("id")
    status = pipeline.get("status")
    if not isinstance(event, dict) or event.get("object_kind") != "pipeline":
        return None
    if not isinstance(of, int) or not isinstance(number, int) or not isinstance(status, str):
        return None
    if status not in GITLAB_SUCCESSES | GITLAB_FAILURES:
        return None
    return PipelineReport(gitlab_id(of, number), status, status in GITLAB_SUCCESSES, _link(pipeline.get("url")))


def _part(data: Any, key: str) -> dict[str, Any]:
    part = data.get(key) if isinstance(data, dict) else None
    return part if isinstance(part, dict) else {}


def _link(value: Any) -> str | None:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None
