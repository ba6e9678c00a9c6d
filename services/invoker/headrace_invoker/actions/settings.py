"""Where the third parties are, and the credentials for them: settings only, never a workflow (docs/actions.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from headrace.contracts.topics import INSTALLATION_NAME

Seconds = Annotated[float, Field(ge=0.05, le=3_600)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$|^$")]


class ThirdParty(BaseModel):
    """What the settings of all third parties have. `tokens` are by owner: `acme`, or `acme/shop` for a part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = ""
    token: SecretStr | None = None
    tokens: dict[str, SecretStr] = {}
    poll_seconds: Seconds = 5.0
    max_poll_seconds: Seconds = 60.0

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_url(url)

    def token_for(self, *owners: str) -> str | None:
        """The token of the most specific owner, the last one given; else the general one."""
        for owner in reversed(owners):
            secret = lookup(self.tokens, owner)
            if secret is not None:
                return secret
        return None if self.token is None else self.token.get_secret_value()


def check_url(url: str) -> str:
    """The address without a slash at its end. Raises ValueError for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(it in url for it in "@?#"):
        raise ValueError("must be like https://host or https://host/path")
    return url.rstrip("/")


def lookup(secrets: Mapping[str, SecretStr], owner: str) -> str | None:
    """The secret of an owner, whose name is compared without case."""
    wanted = owner.lower()
    found = next((secret for name, secret in secrets.items() if name.lower() == wanted), None)
    return None if found is None else found.get_secret_value()


class Github(ThirdParty):
    """GitHub, or a GitHub Enterprise Server (`https://host/api/v3`)."""

    url: str = "https://api.github.com"
    correlation_input: Variable = "headrace_node_run"
    """The input that carries the node run's id; empty: none."""


class Gitlab(ThirdParty):
    """GitLab.com, or a server of one's own. `token` reads pipelines; `trigger_tokens` begin them, by project."""

    url: str = "https://gitlab.com"
    trigger_tokens: dict[str, SecretStr] = {}
    correlation_variable: Variable = "HEADRACE_NODE_RUN"
    """The variable that carries the node run's id; empty: none."""


class RemoteCatalog(BaseModel):
    """A catalog that speaks Port's API, in place of the built-in one; without `url` there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _check(self) -> "RemoteCatalog":
        if self.url:
            check_url(self.url)
        if self.url and not (self.client_id and self.client_secret):
            raise ValueError("a remote catalog needs a client_id and a client_secret")
        return self


class AzureDevops(ThirdParty):
    """Azure DevOps Services, or a server of one's own. `webhook_secret` signs what goes to incoming webhooks."""

    url: str = "https://dev.azure.com"
    webhook_secret: SecretStr | None = None
    correlation_variable: Variable = "HEADRACE_NODE_RUN"
    """The variable that carries the node run's id; empty: none."""


@dataclass(frozen=True, slots=True)
class ActionSettings:
    """What the actions beyond webhooks are told. `runs_topic` is a full name; None: `runs` with the engine's prefix."""

    github: Github
    gitlab: Gitlab
    azure_devops: AzureDevops
    remote_catalog: RemoteCatalog = field(default_factory=RemoteCatalog)
    runs_topic: str | None = None
    org_id: str = "headrace"
    installation_topics: tuple[str, ...] = ()
    """Installations that are also told by a topic of their own (docs/actions.md)."""


class ActionEnvironment(BaseModel):
    """The part of a process's settings that is about actions (docs/configuration.md)."""

    runs_topic: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = None
    """Where KAFKA actions publish, instead of `headrace.runs`."""
    installation_topics: tuple[Annotated[str, Field(pattern=INSTALLATION_NAME)], ...] = ()
    """Installations that are told of their work by a topic of their own, too."""
    github: Github = Github()
    gitlab: Gitlab = Gitlab()
    azure_devops: AzureDevops = AzureDevops()
    remote_catalog: RemoteCatalog = RemoteCatalog()

    def actions(self, org_id: str = "headrace") -> ActionSettings:
        """What the actions are told."""
        return ActionSettings(
            self.github, self.gitlab, self.azure_devops, self.remote_catalog, self.runs_topic,
            org_id, self.installation_topics,
        )  # fmt: skip
