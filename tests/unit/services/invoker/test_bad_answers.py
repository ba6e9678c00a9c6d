"""Third parties that answer garbage, too much, never, with a redirect, or half: a failure with a reason, each time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headrace_invoker.actions import client
from headrace_invoker.actions.answers import KEPT_BYTES
from tests.thirdparty.azure import Azure
from tests.thirdparty.base import GARBAGE, Mishap, ThirdParty, answering, closing, flooding, stalling, truncating
from tests.thirdparty.github import Github
from tests.thirdparty.gitlab import Gitlab
from tests.unit.services.invoker.desk import Desk, node_request

PARTIES: dict[str, tuple[type[ThirdParty], dict[str, Any], str]] = {
    "GITHUB": (
        Github,
        {"org": "acme", "repo": "shop", "workflow": "deploy.yml", "workflowInputs": {"ref": "x"}},
        "GitHub",
    ),
    "GITLAB": (Gitlab, {"groupName": "acme/platform", "projectName": "shop"}, "GitLab"),
    "AZURE_DEVOPS": (Azure, {"org": "acme", "project": "shop", "pipelineId": 12}, "Azure DevOps"),
}
MISHAPS: dict[str, tuple[Mishap, str]] = {
    "garbage": (GARBAGE, "is not JSON"),
    "too much": (flooding, "is longer than we read"),
    "never": (stalling, "within the call's 0.2 s"),
    "redirect": (answering(302, {}, Location="http://169.254.169.254/latest/meta-data"), "It has moved"),
    "closes": (closing, ""),
    "half": (truncating, ""),
}


@pytest.mark.parametrize("kind", PARTIES)
@pytest.mark.parametrize("name", MISHAPS)
async def test_the_node_fails_with_a_reason_and_nothing_else_is_asked_for(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_TIMEOUT_SECONDS", 0.2)
    make, config, who = PARTIES[kind]
    mishap, said = MISHAPS[name]
    server = make()
    await server.start()
    desk = Desk.at(server.url)
    began = time.monotonic()
    for method in ("POST", "GET"):
        server.go_wrong(method, ".*", mishap, times=1_000)
    try:
        await desk.run(node_request(kind, config))
    finally:
        await desk.close()
        await server.stop()

    failed = desk.failed
    assert who in failed.message
    assert said in failed.message or "circuit open" in failed.message  # after ten calls in vain nobody calls again
    assert "Traceback" not in failed.message
    assert len(failed.message) < 1_000
    assert len(repr(failed.output)) < 2 * KEPT_BYTES
    assert time.monotonic() - began < 20
    assert all("169.254" not in it.headers.get("host", "") for it in server.received)
