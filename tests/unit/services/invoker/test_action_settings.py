"""Settings of third parties: tokens by owner, nothing shown, and doors that are no wider than they must be."""

from __future__ import annotations

import pytest

from headrace.core.commands import Failed
from headrace.runtime.settings import BadSettingError
from headrace_dev.settings import load
from headrace_invoker.actions.settings import Github
from tests.thirdparty.github import Github as Server
from tests.unit.services.invoker.desk import Desk, node_request


@pytest.mark.parametrize(
    ("owner", "token"), [("acme/shop", "for-shop"), ("ACME/Other", "for-acme"), ("else/shop", "for-all")]
)
def test_the_token_of_the_most_specific_owner_is_taken(monkeypatch: pytest.MonkeyPatch, owner: str, token: str) -> None:
    monkeypatch.setenv("HEADRACE_GITHUB__TOKEN", "for-all")
    monkeypatch.setenv("HEADRACE_GITHUB__TOKENS", '{"acme": "for-acme", "acme/shop": "for-shop"}')

    assert load().github.token_for(owner.partition("/")[0], owner) == token


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEADRACE_GITHUB__URL", "ftp://tiny-secret@host"),
        ("HEADRACE_GITHUB__URL", "https://tiny-secret@host"),
        ("HEADRACE_GITHUB__TOKENS", '{"acme": "tiny-secret"'),
        ("HEADRACE_GITHUB__TOKENS", '{"acme": ["tiny-secret"]}'),
        ("HEADRACE_INTEGRATIONS__GITHUB_SECRET", "tiny-secret"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(BadSettingError) as refusal:
        load()

    assert "tiny-secret" not in str(refusal.value)


def test_settings_show_no_token() -> None:
    assert "hidden" not in repr(Github(token="hidden", tokens={"acme": "hidden"}))


async def test_a_private_host_is_open_to_the_action_that_was_given_it_and_to_no_webhook() -> None:
    server = Server()
    await server.start()
    desk = Desk.at(server.url)
    webhook = await desk.ask(node_request("WEBHOOK", {"url": f"{server.url}/repos/acme/shop"}))
    await desk.ask(node_request("GITHUB", {"org": "acme", "repo": "shop", "workflow": "deploy.yml"}))
    await desk.close()
    await server.stop()

    assert isinstance(webhook, Failed)
    assert webhook.kind == "refused"
    assert len(server.runs) == 1
    assert all("x-port-signature" not in it.headers for it in server.received)
