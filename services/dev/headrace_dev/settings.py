"""What can be configured about the embedded engine: by environment (`HEADRACE_...`) or by whoever starts it."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.core.errors import HeadraceError
from headrace_api.settings import Client

PREFIX = "HEADRACE_"
_OF_OTHERS = frozenset({"HEADRACE_URL", "HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET"})
"""Variables that the command line reads, not the engine."""


class UnknownVariableError(HeadraceError):
    """An environment variable with our prefix that means nothing: most likely misspelt."""


class Egress(BaseModel):
    """Where workflows may call; private addresses are refused unless named here (docs/egress.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_networks: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()
    max_redirects: int = 0
    per_host_concurrency: int = 32


class Retention(BaseModel):
    """How much the embedded stores keep; the oldest goes first. Runs in progress are always kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished_runs: int = 10_000
    ledger_entries: int = 20_000
    records_per_partition: int = 10_000


class DevSettings(BaseSettings):
    """Settings of `headrace dev`. Nested ones are written with two underscores: `HEADRACE_EGRESS__ALLOWED_HOSTS`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes any free port."""
    data: Path | None = None
    """Folder of the SQLite file; None keeps everything in memory only."""
    partitions: int = 4
    egress: Egress = Egress()
    retention: Retention = Retention()
    clients: tuple[Client, ...] = ()
    """Further credentials besides the generated admin pair."""
    signing_secret: SecretStr | None = None
    """Signs outgoing webhooks; generated when missing."""
    max_in_flight: int = 200
    """Calls of actions in flight at once."""
    jq_processes: int = 2
    log_level: str = "INFO"


def load(**given: Any) -> DevSettings:
    """The settings from what is given, else from the environment. Raises UnknownVariableError, ValidationError."""
    known = {f"{PREFIX}{name.upper()}" for name in DevSettings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in _OF_OTHERS and name.split("__", 1)[0] not in known:
            raise UnknownVariableError(f"{name} is no setting of Headrace. Known are: {', '.join(sorted(known))}.")
    return DevSettings(**{name: value for name, value in given.items() if value is not None})
