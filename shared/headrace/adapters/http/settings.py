"""The operator's part of the egress policy, as it is written into settings (docs/egress.md)."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from headrace.adapters.http.policy import MOST_CIRCUIT_PAUSE_SECONDS, EgressPolicy


def _split(value: Any) -> Any:
    """`a, b` as well as `["a", "b"]`: what a person writes into a variable."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Egress(BaseModel):
    """Where workflows may call; private addresses are refused unless named here (docs/egress.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_networks: Names = ()
    allowed_hosts: Names = ()
    denied_networks: Names = ()
    max_redirects: Annotated[int, Field(ge=0, le=3)] = 0
    per_host_concurrency: Annotated[int, Field(ge=1)] = 32
    circuit_misses: Annotated[int, Field(ge=0)] = 10
    circuit_pause_seconds: Annotated[float, Field(gt=0, le=MOST_CIRCUIT_PAUSE_SECONDS)] = 5.0

    def policy(self) -> EgressPolicy:
        """The whole policy, what cannot be configured included. Raises EgressPolicyError."""
        return EgressPolicy(
            allowed_networks=self.allowed_networks,
            allowed_hosts=self.allowed_hosts,
            denied_networks=self.denied_networks,
            max_redirects=self.max_redirects,
            per_host_concurrency=self.per_host_concurrency,
            circuit_misses=self.circuit_misses,
            circuit_pause_seconds=self.circuit_pause_seconds,
        )
