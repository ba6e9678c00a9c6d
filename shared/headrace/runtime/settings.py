"""Settings from the environment: one way for every process of ours, with errors that name the variable.

A setting is a variable that begins with `HEADRACE_`; two underscores separate the parts of a nested one. An empty
variable counts as none. Whoever adds a service adds a model here and nowhere else reads the environment.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from headrace.core.errors import HeadraceError

PREFIX = "HEADRACE_"
OF_THE_COMMAND_LINE = frozenset({"HEADRACE_URL", "HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET"})
"""Variables that the command line reads, not a service."""
OF_SERVICES = frozenset(
    PREFIX + name
    for name in (
        "HOST", "PORT", "LOG_LEVEL", "STOP_SECONDS", "KAFKA", "MONGODB", "TOPIC_PREFIX", "PARTITIONS", "JQ_PROCESSES",
        "ADMIN", "API", "CLIENTS", "TOKEN_SECRET", "SIGNING_SECRET", "EGRESS", "MAX_IN_FLIGHT", "LEASE_SECONDS",
        "RUNS_TOPIC", "ORG_ID", "GITHUB", "GITLAB", "AZURE_DEVOPS", "REMOTE_CATALOG", "INSTALLATION_TOPICS",
        "INTEGRATIONS", "LEDGER_KEPT_PER_SECOND",
    )
)  # fmt: skip
"""What any service or `headrace init` reads: one environment may serve all of them (a test compares the names)."""
PLAIN_NAMES = {
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
    "MONGODB_URI": ("mongodb", "uri"),
}
"""Well-known variables that are taken where the one with our prefix is not set."""
_NEEDED = {
    "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "It lists brokers, such as kafka-1:9092,kafka-2:9092; KAFKA_BOOTSTRAP_SERVERS "
    "does too.",
    "HEADRACE_MONGODB__URI": "It says where the replica set is, such as mongodb://host:27017/?replicaSet=rs0; "
    "MONGODB_URI does too.",
}
"""What to write into a variable that belongs to an adapter; the others say it as the description of their field."""

Count = Annotated[int, Field(ge=1)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class UnknownVariableError(HeadraceError):
    """An environment variable with our prefix that means nothing: most likely misspelt."""


class BadSettingError(HeadraceError):
    """A setting that is missing, or has a value that cannot be used; the message names the variable."""


class _Environment(EnvSettingsSource):
    """The variables with our prefix. What does not look like JSON is taken as it stands: `a, b` for a list of names."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and value.lstrip()[:1] not in ("[", "{"):
            return value
        return super().decode_complex_value(field_name, field, value)


class _PlainNames(PydanticBaseSettingsSource):
    """The well-known variables without our prefix."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for variable, (part, name) in PLAIN_NAMES.items():
            if part in self.settings_cls.model_fields:
                value = os.environ.get(variable)
                # There even without a value: then it is the inner setting that is missing, and gets named.
                found.setdefault(part, {}).update({name: value} if value else {})
        return found


class Settings(BaseSettings):
    """Root of the settings of every process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls), _PlainNames(settings_cls)


class ServiceSettings(Settings):
    """What every service has: where its health is asked for, how much it logs, how long it may take to stop.

    `stop_seconds` bounds the time from SIGTERM until work in flight is given up; closing what is open takes up to
    five seconds more.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    log_level: LogLevel = "INFO"
    stop_seconds: Annotated[float, Field(gt=0, le=600)] = 25.0
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = "headrace."


SettingsT = TypeVar("SettingsT", bound=Settings)


def load(
    model: type[SettingsT], given: Mapping[str, Any] | None = None, others: frozenset[str] = OF_SERVICES
) -> SettingsT:
    """The settings from what is given and not None, else from the environment; an empty variable counts as none.

    `others` are variables that other processes read: they may be set too. Raises UnknownVariableError, BadSettingError.
    """
    known = {f"{PREFIX}{name.upper()}" for name in model.model_fields}
    for name in os.environ:
        top = name.split("__", 1)[0]
        if name.startswith(PREFIX) and top not in known and top not in others and name not in OF_THE_COMMAND_LINE:
            raise UnknownVariableError(f"{name} is no setting of Headrace. Known are: {', '.join(sorted(known))}.")
    try:
        return model(**{name: value for name, value in (given or {}).items() if value is not None})
    except ValidationError as error:
        raise BadSettingError(_explained(model, error)) from None
    except SettingsError as error:
        raise BadSettingError(f"{error}: objects and lists of objects are written as JSON.") from None


def secret(setting: SecretStr | None) -> str | None:
    """The text of an optional secret."""
    return None if setting is None else setting.get_secret_value()


def _explained(model: type[Settings], error: ValidationError) -> str:
    """All that is missing, with how to get it; else the first value that cannot be used."""
    errors = error.errors(include_url=False, include_input=False)
    missing = [it["loc"] for it in errors if it["type"] == "missing"]
    if missing:
        return "\n".join(f"{_variable(place)} is not set.{_description(model, place)}" for place in missing)
    said = errors[0]["msg"].removeprefix("Value error, ")
    return f"{_variable(errors[0]['loc'])}: {said}."


def _variable(place: tuple[int | str, ...]) -> str:
    return PREFIX + "__".join(str(part).upper() for part in place)


def _description(model: type[Settings], place: tuple[int | str, ...]) -> str:
    field = model.model_fields.get(str(place[0]))
    said = _NEEDED.get(_variable(place)) or (field.description if field is not None else None)
    return f" {said}" if said else ""
