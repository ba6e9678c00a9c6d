"""Expressions taken apart: each sub-expression with what it gave, and none that does not agree with the whole."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import expression
from headrace.core.breakdown import Part, break_down
from headrace.core.jq.lexer import OutsideSubset
from headrace.core.jq.parser import parse_tree
from headrace.core.jq.writing import write

EVENT: Any = {"a": {"tier": "gold", "n": 3, "tags": ["x", "y"]}, "b": None}


def shown(parts: tuple[Part, ...]) -> list[Any]:
    return [
        (part.expression, part.answer if part.asked else "not asked", *([shown(part.parts)] if part.parts else []))
        for part in parts
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('.a.tier == "gold"', []),
        (".a.tier", []),
        (
            '.a.tier == "gold" and .a.n > 5',
            [('.a.tier == "gold"', True, [(".a.tier", "gold")]), (".a.n > 5", False, [(".a.n", 3)])],
        ),
        ('.b and (.a.tier == "gold")', [(".b", None), ('.a.tier == "gold"', "not asked")]),
        ('.a.n or .b', [(".a.n", 3), (".b", "not asked")]),
        (
            ".a.tags | length > 1",
            [(".a.tags", ["x", "y"]), ("length > 1", True, [("length", 2)])],
        ),
        ('.b // "none" | length', [('.b // "none"', "none", [(".b", None), ('"none"', "none")]), ("length", 4)]),
        (
            'if .a.n > 2 then .a.tier else .b end',
            [(".a.n > 2", True, [(".a.n", 3)]), (".a.tier", "gold")],
        ),
        ("[range(3)] | length == 3", []),
    ],
)  # fmt: skip
def test_each_part_says_what_it_gave(text: str, expected: list[Any]) -> None:
    assert shown(break_down(text, EVENT)) == expected


def test_a_part_that_fails_says_so_and_what_follows_was_not_asked() -> None:
    first, second = break_down(".a.tier > 1 and (.a.tier.x == 1) and .b", EVENT)[:2]

    assert first.answer is True  # texts are greater than numbers
    assert isinstance(second.answer, expression.Failure)
    assert break_down(".a.tier > 1 and (.a.tier.x == 1) and .b", EVENT)[2] == Part(".b", None, asked=False)


def test_a_program_of_many_parts_is_not_taken_apart_without_end() -> None:
    text = " and ".join(f"(.a.n > {number} or .a.n == {number})" for number in range(-100, 0))

    def count(parts: tuple[Part, ...]) -> int:
        return sum(1 + count(part.parts) for part in parts)

    assert count(break_down(text, EVENT)) < 400


PROGRAMS = [
    ".", ".a.b", '.["x y"]', ".a[0].b?", "-.n", "-(.n + 1)", "1 - (2 - 3)", "(1 - 2) - 3", "(.a + .b) * 2",
    ".a // .b // 1",
    "(.a // .b) | .c", ".a or .b and .c", "(.a or .b) and .c", "not", ".a | not", '"x\\(.a)y"', "[.a, .b]", "[.a | .b]",
    "{a: .b, (.c): 1}", "if .a then 1 else 2 end", "(.a == 1) == true", ".a | test(\"x\")", "IN(1, 2)", "(.a | .b).c",
    "map(.a > 1)", ".a?", '.a["\\u00e4"]', "[]", "{}", "null", "1.5", '"\\"\\\\"',
]  # fmt: skip


@pytest.mark.parametrize("text", PROGRAMS)
def test_what_is_written_reads_as_the_same_tree(text: str) -> None:
    tree = parse_tree(text)

    assert parse_tree(write(tree)) == tree


_ATOMS = st.sampled_from([".", ".a", ".a.b", "1", '"x"', "null", "(.a | length)", "[.a]", "-.a", ".a[0]"])


@given(st.recursive(_ATOMS, lambda inner: st.builds(
    "({} {} {})".format, inner, st.sampled_from(["and", "or", "==", "+", "-", "*", "//", "|", "<"]), inner
), max_leaves=8))  # fmt: skip
def test_any_tree_is_written_so_that_it_reads_as_itself(text: str) -> None:
    try:
        tree = parse_tree(text)
    except OutsideSubset:
        return

    assert parse_tree(write(tree)) == tree
    answer = expression.run_tree(tree, EVENT) if expression.parse(text).native else None
    assert answer is None or expression.parse(write(tree)).native is not None
