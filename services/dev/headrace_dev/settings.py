"""What can be configured about the embedded engine: by environment (`HEADRACE_...`) or by whoever starts it."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from headrace.core.errors import HeadraceError
from headrace_api.settings import Client

PREFIX = "HEADRACE_"
_OF_OTHERS = frozenset({"HEADRACE_URL", "HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET"})
"""Variables that the command line reads, not the engine."""


class UnknownVariableError(HeadraceError):
    """An environment variable with our prefix that means nothing: most likely misspelt."""


class BadSettingError(HeadraceError):
    """A setting with a value that cannot be used; the message names the variable."""


def _split(value: Any) -> Any:
    """`a, b` as well as `["a", "b"]`: what a person writes into a variable."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Count = Annotated[int, Field(ge=1)]


class Egress(BaseModel):
    """Where workflows may call; private addresses are refused unless named here (docs/egress.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_networks: Names = ()
    allowed_hosts: Names = ()
    denied_networks: Names = ()
    max_redirects: Annotated[int, Field(ge=0, le=3)] = 0
    per_host_concurrency: Count = 32


class Retention(BaseModel):
    """How much the embedded stores keep; the oldest goes first. Runs in progress are always kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished_runs: Count = 10_000
    ledger_entries: Count = 20_000
    claims: Count = 10_000
    records_per_partition: Count = 10_000


class DevSettings(BaseSettings):
    """Settings of `headrace dev`. Nested ones are written with two underscores: `HEADRACE_EGRESS__ALLOWED_HOSTS`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="forbid"
    )

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
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"


def load(**given: Any) -> DevSettings:
    """The settings from what is given, else from the environment; an empty variable counts as none.

    Raises UnknownVariableError, BadSettingError.
    """
    known = {f"{PREFIX}{name.upper()}" for name in DevSettings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in _OF_OTHERS and name.split("__", 1)[0] not in known:
            raise UnknownVariableError(f"{name} is no setting of Headrace. Known are: {', '.join(sorted(known))}.")
    try:
        return DevSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + "__".join(str(part).upper() for part in first["loc"])
        raise BadSettingError(f"{name}: {first['msg']}.") from None
    except SettingsError as error:
        raise BadSettingError(f"{error}: lists of objects are written as JSON.") from None
