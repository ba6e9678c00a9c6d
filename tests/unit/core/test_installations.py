"""Which installation does the work of a node run is read from its rendered config."""

from typing import Any

import pytest

from headrace.core.installations import by_agent, installation_of


@pytest.mark.parametrize(
    ("type_", "config", "installation"),
    [
        ("INTEGRATION_ACTION", {"installationId": "ops"}, "ops"),
        ("INTEGRATION_ACTION", {"installationId": 7}, "7"),
        ("INTEGRATION_ACTION", {"installationId": "ops", "agent": True}, "ops"),
        ("INTEGRATION_ACTION", {"installationId": " "}, None),
        ("INTEGRATION_ACTION", {}, None),
        ("INTEGRATION_ACTION", None, None),
        ("WEBHOOK", {"agent": True, "url": "x"}, "_PORT_EXEC_AGENT"),
        ("WEBHOOK", {"agent": False, "url": "x"}, None),
        ("WEBHOOK", {"installationId": "ops"}, None),
        ("KAFKA", {"agent": True}, None),
    ],
)
def test_the_installation_of_a_node_run(type_: str, config: Any, installation: str | None) -> None:
    assert installation_of(type_, config) == installation
    assert by_agent(type_, config) is (installation == "_PORT_EXEC_AGENT")
