"""Where MongoDB is, how long to wait for it, and how long what is over is kept."""

import re
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from headrace.contracts.topics import TOPICS

SAFETY_DAYS: Final = 7
"""How much longer runs and claims are kept than the longest topic can be read again."""

_FORBIDDEN_IN_NAMES: Final = re.compile(r'[\s/\\."$*<>:|?\x00]')
_MAX_NAME_BYTES: Final = 63

Days = Annotated[int, Field(ge=1, le=3_650)]
Seconds = Annotated[float, Field(gt=0, le=600)]


class MongoSettings(BaseModel):
    """How to reach MongoDB (docs/mongodb.md).

    Read and write concerns, and the retrying of writes, are fixed in code: what the connection string says of them
    does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: SecretStr = Field(description="The connection string of a replica set, such as mongodb://host:27017.")
    database: str = "headrace"
    server_selection_timeout_seconds: Seconds = 5.0
    """How long one operation waits for a primary."""
    connect_timeout_seconds: Seconds = 5.0
    socket_timeout_seconds: Seconds = 30.0
    """How long a connection may be silent in the middle of an operation."""
    write_timeout_seconds: Seconds = 10.0
    """How long a majority may take to confirm a write. After that its outcome is read, not guessed."""
    max_pool_size: Annotated[int, Field(ge=1, le=1_000)] = 50
    topic_retention_days: Days = max(topic.retention_days for topic in TOPICS)
    """The longest time that a topic keeps its records: set it when you keep topics longer than `headrace init` does."""
    run_retention_days: Days = 30
    """How long a finished run is kept whose messages are all published."""
    claim_retention_days: Days = 14
    """How long a claim is kept after it was written last."""
    ledger_retention_days: Days = 14
    """How long an entry of the ledger is kept after it was written last."""

    @field_validator("database")
    @classmethod
    def _is_a_database_name(cls, name: str) -> str:
        if not name or _FORBIDDEN_IN_NAMES.search(name) or len(name.encode()) > _MAX_NAME_BYTES:
            raise ValueError(f'must be a name of 1 to {_MAX_NAME_BYTES} bytes without spaces and without /\\."$*<>:|?')
        return name

    @model_validator(mode="after")
    def _memory_outlives_redelivery(self) -> Self:
        """An event that comes again after its run is forgotten would start the run a second time."""
        least = self.topic_retention_days + SAFETY_DAYS
        for name in ("run_retention_days", "claim_retention_days"):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}: the topics keep records for {self.topic_retention_days} days "
                    f"(topic_retention_days), and what they bring again must still be known {SAFETY_DAYS} days later"
                )
        if self.socket_timeout_seconds <= self.write_timeout_seconds:
            raise ValueError("socket_timeout_seconds must be longer than write_timeout_seconds")
        return self
