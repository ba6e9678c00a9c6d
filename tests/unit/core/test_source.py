"""Places in JSON text: the right line and column for values, keys and characters, on broken text too."""

import json

import pytest

from headrace.core.authoring.source import decode, positions
from headrace.core.errors import Problem

TEXT = """{
  "identifier" : "w",
  "nodes": [
    {"a/b": 1, "m~n": [true, null,
      -1.5e3]},\t{ }
  ],
  "": {"": "x"},
  "é": "ü"
}"""


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", (1, 1)),
        ("/identifier", (2, 18)),
        ("/nodes", (3, 12)),
        ("/nodes/0", (4, 5)),
        ("/nodes/0/a~1b", (4, 13)),
        ("/nodes/0/m~0n", (4, 23)),
        ("/nodes/0/m~0n/0", (4, 24)),
        ("/nodes/0/m~0n/2", (5, 7)),
        ("/nodes/1", (5, 17)),
        ("/", (7, 7)),
        ("//", (7, 12)),
        ("/é", (8, 8)),
    ],
)
def test_a_pointer_leads_to_its_value(pointer: str, place: tuple[int, int]) -> None:
    assert positions(TEXT).locate(pointer) == place


def test_a_key_has_its_own_place() -> None:
    assert positions(TEXT).locate("/nodes/0/a~1b", key=True) == (4, 6)


@pytest.mark.parametrize(("pointer", "place"), [("/nodes/7", (3, 12)), ("/nodes/0/x/y", (4, 5)), ("/zzz", (1, 1))])
def test_a_pointer_to_nothing_leads_to_what_is_around_it(pointer: str, place: tuple[int, int]) -> None:
    assert positions(TEXT).locate(pointer) == place


def test_an_index_counts_characters_as_they_are_meant() -> None:
    text = r'["\u00e9\n\ud83d\ude00\"x"]'
    assert json.loads(text) == ['é\n😀"x']

    places = [positions(text).locate("/0", index) for index in range(6)]

    assert [text[column - 1 :][:2] for _, column in places] == [r"\u", r"\n", r"\u", r"\"", 'x"', '"]']


def test_lines_end_as_in_any_editor() -> None:
    assert [positions("[1,\r\n2,\r3,\n4]").locate(f"/{index}") for index in range(4)] == [
        (1, 2),
        (2, 1),
        (3, 1),
        (4, 1),
    ]


def test_a_key_that_stands_twice_is_a_problem_at_the_later_one() -> None:
    places = positions('{"a": {"x": 1},\n "b": 2,\n "a": {"y": 3}}')
    (problem,) = places.duplicates

    assert (problem.code, problem.pointer, problem.severity) == ("duplicate-key", "/a", "error")
    assert places.locate_problem(problem) == (3, 2)
    assert places.locate("/a/y") == (3, 13)
    assert places.locate("/a/x") == (3, 7)


def test_keys_that_differ_only_in_their_escapes_are_the_same() -> None:
    assert [problem.pointer for problem in positions(r'{"a": 1, "\u0061": 2}').duplicates] == ["/a"]


def test_the_same_key_in_different_objects_is_fine() -> None:
    assert positions('[{"a": 1}, {"a": {"a": 2}}]').duplicates == ()


def test_an_unknown_field_is_shown_at_its_key() -> None:
    problem = Problem("/identifier", "unknown-field", "x")

    assert positions(TEXT).locate_problem(problem) == (2, 3)


@pytest.mark.parametrize(
    "text", ["", "  ", "{", "[1,", '{"a"', '{"a":', '"abc', "]]}}", "{]}", ":::", '{"a" 1}', "\\", '"\\']
)
def test_broken_text_is_placed_somewhere(text: str) -> None:
    places = positions(text)

    for pointer in ("", "/a", "/0/b"):
        line, column = places.locate(pointer, 3)
        assert line >= 1
        assert column >= 1


def test_deep_text_needs_no_recursion() -> None:
    assert positions("[" * 100_000).locate("/0/0") == (1, 3)


@pytest.mark.parametrize("value", ["", "plain", 'q"uote', "back\\slash", "tab\t", "\u2028", "😀", "\x7f"])
def test_string_tokens_are_decoded_as_json_says(value: str) -> None:
    assert decode(json.dumps(value)) == value
    assert decode(json.dumps(value, ensure_ascii=False)) == value
