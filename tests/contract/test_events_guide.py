"""docs/events.md: its examples are read by the code that they describe, and its tables are complete."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.contracts import codec
from headrace.contracts._event_codec import RUN_EVENT_TYPES
from headrace.contracts.entity_change import decode_entity_change
from headrace.core import limits
from headrace.ports.log import Headers, Record, TopicPartition
from schemas import generate

GUIDE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)]
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)


def record(value: Any, headers: Headers = ()) -> Record:
    return Record(TopicPartition("headrace.test.v1", 0), 1, "key", json.dumps(value).encode(), headers, 0)


def validator(name: str) -> Any:
    return jsonschema_rs.validator_for(json.loads((generate.HERE / "messages" / f"{name}.v1.json").read_text()))


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "action" in example])
def test_the_bare_entity_changes_of_the_guide_are_read_and_fit_their_schema(example: Any) -> None:
    assert decode_entity_change(record(example)).entity == "billing"
    validator("entity-change").validate(example)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "specversion" in example])
def test_the_cloud_events_of_the_guide_are_read(example: Any) -> None:
    assert decode_entity_change(record(example, STRUCTURED)).entity == "billing"


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "seq" in example])
def test_the_run_events_of_the_guide_are_read_and_fit_their_schema(example: Any) -> None:
    assert codec.decode_event(record(example)).seq == example["seq"]
    validator(example["type"].removeprefix("io.headrace.").replace(".", "-")).validate(example)


def test_every_example_of_the_guide_is_checked() -> None:
    assert len(EXAMPLES) == sum("action" in e or "specversion" in e or "seq" in e for e in EXAMPLES) == 4


def test_the_guide_names_exactly_the_types_that_exist() -> None:
    assert set(re.findall(r"^\| `(io\.headrace\.[a-z.]+)` \|", GUIDE, re.MULTILINE)) == set(RUN_EVENT_TYPES.values())


def test_the_consumer_of_the_guide_sees_every_event_once() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)

    delivered = [("a", 1), ("a", 2), ("b", 1), ("a", 1), ("a", 2), ("a", 3), ("b", 1)]

    seen = [(run, seq) for run, seq in delivered if names["is_new"]({"runId": run, "seq": seq})]
    assert seen == [("a", 1), ("a", 2), ("b", 1), ("a", 3)]


def test_the_bounds_that_the_guide_names_are_those_of_the_code() -> None:
    assert (limits.BODY_BYTES, limits.JSON_DEPTH, limits.JSON_VALUES) == (1 << 20, 64, 50_000)
    assert (limits.SAFE_INTEGER, limits.JSON_KEY_BYTES) == (2**53 - 1, 256)
