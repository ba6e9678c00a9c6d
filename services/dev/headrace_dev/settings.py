"""What can be configured about the embedded engine: by environment (`HEADRACE_...`) or by whoever starts it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headrace.adapters.http.settings import Egress
from headrace.runtime import settings
from headrace.runtime.settings import PREFIX, Count, LogLevel, Settings
from headrace_api.settings import Client, Integrations
from headrace_invoker.actions.settings import ActionEnvironment

__all__ = ["PREFIX", "DevSettings", "Egress", "Retention", "load"]


class Retention(BaseModel):
    """How much the embedded stores keep; the oldest goes first. Runs in progress are always kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished_runs: Count = 10_000
    ledger_entries: Count = 20_000
    claims: Count = 10_000
    records_per_partition: Count = 10_000


class DevSettings(ActionEnvironment, Settings):
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
    ledger_kept_per_second: Count = 10
    """Events of a blueprint and action that start nothing and get a ledger entry; others are counted."""
    integrations: Integrations = Integrations()
    log_level: LogLevel = "WARNING"


def load(**given: Any) -> DevSettings:
    """The settings from what is given, else from the environment; an empty variable counts as none.

    Raises UnknownVariableError, BadSettingError.
    """
    return settings.load(DevSettings, given, others=frozenset())
