"""Whatever JSON value comes: reading and judging it never raises, and every problem points into it."""

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import strict_json
from headrace.contracts.strict_json import BadJson
from headrace.core import limits
from headrace.core.authoring import check, document, inputs
from headrace.core.authoring._document_configs import CONFIGS
from headrace.core.authoring._document_reading import fields
from headrace.core.authoring.source import positions
from headrace.core.definition import LATER_TYPES
from headrace.core.json import Json, JsonObject
from tests.unit.core.test_flow_check_correct import CORRECT

EXAMPLES: list[Any] = [
    example if "nodes" in example else {"identifier": "w", "nodes": [example]}
    for example in json.loads((Path(__file__).parents[1] / "unit/core/spec_examples.json").read_text()).values()
] + [case[1] for case in CORRECT]

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["a", "b", "s", "{{ .outputs.a.x }}", "{{", "}}", ".outputs.a", "true", "trigger", "my-node", "~/", "\ud800"]
    ),
    st.sampled_from(
        [*CONFIGS, *LATER_TYPES, "string", "number", "entity", "JQ", "and", "ENTITY_CREATED", "TIMER_EXPIRED"]
    ),
)
PARTS: tuple[type[Any], ...] = (
    document.WorkflowHead,
    document.NodeDocument,
    document.ConnectionDocument,
    *CONFIGS.values(),
)
NAMES = st.one_of(
    st.sampled_from(
        sorted({"nodes", "connections", "properties", "items", "required", *(n for p in PARTS for n in fields(p))})
    ),
    TEXTS,
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.sampled_from([0, 1, -1, 10**400, 2**53])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25
)
CONFIG = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from([*CONFIGS, *LATER_TYPES, "X"]),
    st.dictionaries(NAMES, VALUES, max_size=6),
)
NODE = st.builds(
    lambda name, config, rest: {**rest, "identifier": name, "config": config},
    st.sampled_from("abcs"),
    CONFIG,
    st.dictionaries(NAMES, VALUES, max_size=2),
)
CONNECTION = st.fixed_dictionaries(
    {"sourceIdentifier": st.sampled_from("abcs"), "targetIdentifier": st.sampled_from("abcs")},
    optional={
        "identifier": st.sampled_from("ef"),
        "sourceOutletIdentifier": st.sampled_from("xy"),
        "sourceOptionIdentifier": st.sampled_from("xy"),
        "fallback": st.booleans(),
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"identifier": TEXTS, "nodes": st.lists(NODE, max_size=4)},
    optional={"connections": st.lists(CONNECTION, max_size=6)},
)


def exists(pointer: str, value: Json) -> bool:
    """Whether the pointer leads to a value, or at least its parent is there."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for number, part in enumerate(parts, 1):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return number == len(parts)
    return True


def judge(value: Json) -> None:
    before = copy.deepcopy(value)
    examined = check.examine(value)

    again = check.examine(value)
    assert (examined.problems, examined.definition is None) == (again.problems, again.definition is None)
    assert repr(value) == repr(before)
    assert all(exists(problem.pointer, value) for problem in examined.problems)
    assert len(examined.problems) <= limits.PROBLEMS + 1
    assert (examined.definition is None) == any(problem.severity == "error" for problem in examined.problems)
    if examined.draft is not None:
        check.expressions(examined.draft)


@given(VALUES)
def test_any_value_can_be_judged(value: Json) -> None:
    judge(value)


@settings(max_examples=300)
@given(DOCUMENTS)
def test_anything_that_resembles_a_workflow_can_be_judged(value: Json) -> None:
    judge(value)


def paths_of(value: Json, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [here]
    if isinstance(value, dict):
        found += [path for key, item in value.items() for path in paths_of(item, (*here, key))]
    elif isinstance(value, list):
        found += [path for index, item in enumerate(value) for path in paths_of(item, (*here, index))]
    return found


def mutated(value: Any, path: tuple[str | int, ...], change: str, new: Json) -> Any:
    """A copy of `value` with the item at `path` replaced, removed or doubled."""
    if not path:
        return new
    result = copy.deepcopy(value)
    holder: Any = result
    for step in path[:-1]:
        holder = holder[step]
    if change == "remove":
        del holder[path[-1]]
    elif change == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[int(path[-1])]))
    elif change == "rename" and isinstance(holder, dict):
        holder[f"{path[-1]}s"] = holder.pop(path[-1])
    else:
        holder[path[-1]] = new
    return result


@settings(max_examples=400)
@given(st.data())
def test_a_workflow_with_some_mistakes_can_be_judged(data: st.DataObject) -> None:
    value: Any = data.draw(st.sampled_from(EXAMPLES))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(value)))
        change = data.draw(st.sampled_from(["replace", "remove", "double", "rename"]))
        value = mutated(value, path, change, data.draw(SCALARS | VALUES))

    judge(value)


@pytest.mark.parametrize("value", EXAMPLES)
def test_the_unchanged_examples_have_no_errors_of_form(value: JsonObject) -> None:
    codes = {problem.code for problem in check.examine(value).problems if problem.severity == "error"}

    assert codes <= {"no-trigger"}


@given(st.dictionaries(NAMES, VALUES, max_size=4), VALUES)
def test_any_inputs_can_be_checked_against_any_form(form: JsonObject, value: Json) -> None:
    checked = inputs.validate(form, value)

    assert checked == inputs.validate(form, value) or "nan" in repr(checked)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from("xyz"), st.dictionaries(NAMES, VALUES, max_size=4), max_size=3), st.data())
def test_any_inputs_can_be_checked_against_anything_like_a_form(properties: Any, data: st.DataObject) -> None:
    form: JsonObject = {"properties": {name: {"type": "string", **value} for name, value in properties.items()}}
    value = data.draw(st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3))

    inputs.validate(form, value)


SPACE = st.text(alphabet=" \n\t\r", max_size=3)
CLEAN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def written(value: Json, data: st.DataObject, out: list[str], here: str, starts: dict[str, int]) -> None:
    """Write JSON text with random spaces and escapes, and note where every value starts."""

    def space() -> None:
        out.append(data.draw(SPACE))

    def string(text: str) -> str:
        return json.dumps(text, ensure_ascii=data.draw(st.booleans()))

    starts[here] = len("".join(out))
    if isinstance(value, dict):
        out.append("{")
        for number, (key, item) in enumerate(value.items()):
            out.append("," if number else "")
            space()
            out.append(string(key))
            space()
            out.append(":")
            space()
            written(item, data, out, f"{here}/{key.replace('~', '~0').replace('/', '~1')}", starts)
            space()
        out.append("}")
    elif isinstance(value, list):
        out.append("[")
        for number, item in enumerate(value):
            out.append("," if number else "")
            space()
            written(item, data, out, f"{here}/{number}", starts)
            space()
        out.append("]")
    else:
        out.append(string(value) if isinstance(value, str) else json.dumps(value))


@settings(max_examples=200, deadline=None)
@given(CLEAN, st.data())
def test_every_pointer_is_placed_at_the_start_of_its_value(value: Json, data: st.DataObject) -> None:
    out: list[str] = [data.draw(SPACE)]
    starts: dict[str, int] = {}
    written(value, data, out, "", starts)
    text = "".join(out)
    assert json.loads(text) == value

    places = positions(text)

    for pointer, start in starts.items():
        line, column = places.locate(pointer)
        lines = split_lines(text)
        assert len("".join(lines[: line - 1])) + column - 1 == start
        assert json.JSONDecoder().raw_decode(text, start)[0] == get(value, pointer)
    assert places.duplicates == ()


def split_lines(text: str) -> list[str]:
    """Lines with their ends; a line ends with \\n, \\r\\n or \\r and nothing else."""
    lines, current = [], ""
    for index, char in enumerate(text):
        current += char
        if char == "\n" or (char == "\r" and text[index + 1 : index + 2] != "\n"):
            lines.append(current)
            current = ""
    return [*lines, current]


def get(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part.replace("~1", "/").replace("~0", "~")]
    return value


@given(st.text(alphabet='{}[]:,"\\ \nua01-', max_size=40), st.text(alphabet="/~0a", max_size=6))
def test_any_text_has_places(text: str, pointer: str) -> None:
    line, column = positions(text).locate(pointer, 2)

    assert 1 <= line <= text.count("\n") + 1
    assert column >= 1


def is_acceptable(value: Any, depth: int = 0) -> bool:
    """What `strict_json` promises, written the slow and obvious way."""
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return True
    if isinstance(value, int):
        return abs(value) <= limits.SAFE_INTEGER
    if isinstance(value, str):
        return "\0" not in value
    if depth >= limits.JSON_DEPTH:
        return False
    if isinstance(value, list):
        return all(is_acceptable(item, depth + 1) for item in value)
    return all(
        len(key.encode()) <= limits.JSON_KEY_BYTES and "\0" not in key and is_acceptable(item, depth + 1)
        for key, item in value.items()
    )


SUSPECTS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**64 - 1),
        st.integers(2**53 - 3, 2**53 + 3),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(
            ["\0", "1234567890123456789", ", 12345678901234567890", '"', "\\", "\\u0000", "k" * 300, "[" * 70]
        ),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["a", "k" * 256, "k" * 257, "é" * 129, '"' * 257, "\0", "\\"]), inner, max_size=3
        ),
        st.builds(lambda depth, item: nested(depth, item), st.sampled_from([1, 60, 63, 64, 65]), inner),
    ),
    max_leaves=12,
)


def nested(depth: int, value: Any) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"d": value}
    return value


@settings(max_examples=400)
@given(SUSPECTS)
def test_strict_json_keeps_its_promise(value: Any) -> None:
    raw = orjson.dumps(value)

    try:
        parsed = strict_json.parse(raw, unique_keys=True)
    except BadJson:
        assert not is_acceptable(value)
    else:
        assert parsed == orjson.loads(raw)
        assert is_acceptable(value)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]:,"\\ \nuD8a01-eNaIn.', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_bad_json(raw: bytes) -> None:
    with suppress(BadJson):
        strict_json.parse(raw, unique_keys=True)
