"""docs/actions.md: its examples can be saved, and it speaks of every action that is performed."""

import json
import re

import pytest

from headrace.core.authoring import check
from headrace.core.authoring._check_support import PERFORMED
from headrace.core.json import Json
from headrace_invoker.actions.pipelines import SETTLE_SECONDS, Pace
from tools import sources

PAGE = (sources.ROOT / "docs/actions.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Json]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda config: str(config["type"]))
def test_every_example_can_be_saved_without_a_warning(config: dict[str, Json]) -> None:
    inputs: Json = {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {"service": {"type": "string"}}}}
    document: Json = {
        "identifier": "w",
        "nodes": [{"identifier": "start", "config": inputs}, {"identifier": "it", "config": config}],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "it"}],
    }

    assert check.examine(document).problems == ()


def test_there_is_an_example_of_every_action_that_is_performed() -> None:
    assert {str(config["type"]) for config in EXAMPLES} == PERFORMED


def test_the_times_it_names_are_those_of_the_code() -> None:
    assert f"once more {SETTLE_SECONDS:.0f} s later" in PAGE
    assert f"after {Pace().first_seconds:.0f} s first" in PAGE
    assert Pace().most_seconds == 60
