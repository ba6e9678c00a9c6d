"""What can be configured about the embedded engine: by environment (`HEADRACE_...`) or by whoever starts it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headrace.adapters.http.settings import Egress
from headrace.contracts.topics import INSTALLATION_NAME
from headrace.runtime import settings
from headrace.runtime.settings import PREFIX, Count, LogLevel, Settings
from headrace_api.settings import Client, Integrations
from headrace_invoker.actions.settings import AzureDevops, Github, Gitlab, RemoteCatalog
from headrace_invoker.actions.wiring import ActionSettings

__all__ = ["PREFIX", "DevSettings", "Egress", "Retention", "load"]


class Retention(BaseModel):
    """How much the embedded stores keep; the oldest goes first. Runs in progress are always kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished_runs: Count = 10_000
    ledger_entries: Count = 20_000
    claims: Count = 10_000
    records_per_partition: Count = 10_000


class DevSettings(Settings):
    """Settings of `headrace dev`. Nested ones are written with two underscores: `HEADRACE_EGRESS__ALLOWED_HOSTS`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """0 takes any free port."""
    data: Path | None = None
    """Folder of the SQLite file; None keeps everything in memory only."""
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 4
    egress: Egress = Egress()
    retention: Retention = Retention()
    clients: tuple[Client, ...] = ()
    """Further credentials besides the generated admin pair."""
    signing_secret: SecretStr | None = None
    """Signs outgoing webhooks; generated when missing."""
    max_in_flight: Count = 200
    """Calls of actions in flight at once."""
    jq_processes: Count = 2
    runs_topic: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = None
    """Where KAFKA actions publish, instead of `headrace.runs`."""
    installation_topics: tuple[Annotated[str, Field(pattern=INSTALLATION_NAME)], ...] = ()
    """Installations that are told of their work by a topic of their own, too."""
    github: Github = Github()
    gitlab: Gitlab = Gitlab()
    azure_devops: AzureDevops = AzureDevops()
    remote_catalog: RemoteCatalog = RemoteCatalog()
    integrations: Integrations = Integrations()
    log_level: LogLevel = "WARNING"

    def actions(self) -> ActionSettings:
        """What the actions are told."""
        return ActionSettings(
            self.github,
            self.gitlab,
            self.azure_devops,
            self.remote_catalog,
            self.runs_topic,
            installation_topics=self.installation_topics,
        )


def load(**given: Any) -> DevSettings:
    """The settings from what is given, else from the environment; an empty variable counts as none.

    Raises UnknownVariableError, BadSettingError.
    """
    return settings.load(DevSettings, given, others=frozenset())
