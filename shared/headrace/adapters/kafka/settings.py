"""Settings of the Kafka adapter (docs/kafka.md has the table)."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, SecretStr, model_validator

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Compression = Literal["none", "gzip", "lz4", "zstd"]


def _split(value: Any) -> Any:
    """One text with commas, as everybody writes bootstrap servers, or already a sequence."""
    if isinstance(value, str):
        return tuple(part for part in (it.strip() for it in value.split(",")) if part)
    return value


class KafkaSettings(BaseModel):
    """How to reach the brokers and what to ask of them. Times ending in `_ms` are milliseconds.

    `session_timeout_ms`: so long without a heartbeat, and a member is taken for dead. `rebalance_timeout_ms`: so long a
    member may take to finish its work when partitions move. `max_poll_interval_ms`: so long between two fetches, and
    it leaves the group. `group_instance_id`: static membership, one name per process, the same after a restart.
    `offset_reset`: where a group without stored offsets begins. `lost_records`: what to do when the next record to
    read is gone from the log. `replication_factor` of topics to be made: none takes 3, or as many as there are brokers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(default=..., min_length=1)
    client_id: str = "headrace"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None

    session_timeout_ms: PositiveInt = 30_000
    heartbeat_interval_ms: PositiveInt = 3_000
    rebalance_timeout_ms: PositiveInt = 60_000
    max_poll_interval_ms: PositiveInt = 300_000
    request_timeout_ms: PositiveInt = 40_000
    fetch_max_wait_ms: PositiveInt = 250
    group_instance_id: str | None = None
    offset_reset: Literal["earliest", "latest"] = "earliest"
    lost_records: Literal["fail", "skip"] = "fail"

    publish_timeout_ms: PositiveInt = 30_000
    linger_ms: float = Field(default=0, ge=0, le=1_000)
    compression: Compression = "none"
    max_request_bytes: PositiveInt = 4 * 1024 * 1024

    replication_factor: PositiveInt | None = None

    @property
    def servers(self) -> str:
        """The bootstrap servers as one text, for messages."""
        return ",".join(self.bootstrap_servers)

    @property
    def session_seconds(self) -> float:
        return self.session_timeout_ms / 1_000

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @model_validator(mode="after")
    def _check_servers(self) -> Self:
        for server in self.bootstrap_servers:
            host, colon, port = server.rpartition(":")
            if not (host and colon and port.isdecimal()):
                raise ValueError(f"bootstrap_servers: {server!r} must be host:port")
        return self

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        given, missing = _split_names(self, "sasl_mechanism", "sasl_username", "sasl_password")
        if self.uses_sasl and missing:
            raise ValueError(f"security_protocol {self.security_protocol} also needs {missing}")
        if given and not self.uses_sasl:
            raise ValueError(f"{given} would not be used with security_protocol {self.security_protocol}")
        given, _ = _split_names(self, "ssl_ca_file", "ssl_cert_file", "ssl_key_file")
        if given and not self.uses_tls:
            raise ValueError(f"{given} would not be used with security_protocol {self.security_protocol}")
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file belong together: give both or neither")
        return self

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError("heartbeat_interval_ms must be at most a third of session_timeout_ms")
        if self.rebalance_timeout_ms < self.session_timeout_ms:
            raise ValueError("rebalance_timeout_ms must not be below session_timeout_ms")
        if self.max_poll_interval_ms < self.rebalance_timeout_ms:
            raise ValueError("max_poll_interval_ms must not be below rebalance_timeout_ms")
        return self


def _split_names(settings: KafkaSettings, *names: str) -> tuple[str, str]:
    """Those of the fields that have a value, and those that have none."""
    given = [name for name in names if getattr(settings, name)]
    return ", ".join(given), ", ".join(name for name in names if name not in given)
