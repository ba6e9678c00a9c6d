"""Which installation outside does the work of a node run (spec 3.8, 3.2.1)."""

import json

from headrace.core.json import Json, JsonObject

AGENT = "_PORT_EXEC_AGENT"
"""The installation that makes the calls of webhooks with `agent: true`."""


def by_agent(type_: str, config: Json) -> bool:
    """Whether a node run of this type and rendered config is a webhook that goes through the agent."""
    return type_ == "WEBHOOK" and isinstance(config, dict) and bool(config.get("agent"))


def installation_of(type_: str, config: Json) -> str | None:
    """The installation that shall do the work; None when the engine does it, or the config names none."""
    if by_agent(type_, config):
        return AGENT
    named: JsonObject = config if type_ == "INTEGRATION_ACTION" and isinstance(config, dict) else {}
    name = named.get("installationId")
    if isinstance(name, int):
        name = json.dumps(name)
    return name if isinstance(name, str) and name.strip() else None
