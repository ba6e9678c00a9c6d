"""The total subset against libjq: what runs natively answers as jq does, on random programs and documents.

Answers must be equal (a boolean is never a number, 1 and 1.0 are the same number); where jq fails, we fail; where jq
has no output, we have none. Documents keep to numbers that a double holds exactly: docs/expressions.md says what
happens beyond.
"""

from collections import Counter

import jq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.expression import EMPTY, Answer, Failure, parse
from headrace.core.json import Json

NAMES = ("a", "b", "c", "and", "x_1")
TEXTS = st.sampled_from(["", "a", "b", "ab", "A b", "é", "x,y", "1", "-2.50", "true", "\x7f", '"q"', "nope", "😀z"])
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.5, -1.5, 2.0, 1e-7, 1e300, 9007199254740992, -9007199254740991, 123456.789]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
DOCUMENTS: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from([*NAMES, "a b", "é", ""]), inner, max_size=4),
    ),
    max_leaves=12,
)
ROOTS = st.one_of(DOCUMENTS, st.fixed_dictionaries({"a": DOCUMENTS, "b": DOCUMENTS}))

FILTERS = [
    "length",
    "keys",
    "keys_unsorted",
    "not",
    "type",
    "tostring",
    "tojson",
    "tonumber",
    "ascii_downcase",
    "ascii_upcase",
    "first",
    "last",
    "any",
    "all",
    "add",
    "sort",
    "unique",
    "trim",
    "ltrim",
    "rtrim",
    "floor",
    "ceil",
    "round",
    "utf8bytelength",
    "empty",
    "values",
    "nulls",
    "strings",
    "numbers",
    "booleans",
    "arrays",
    "objects",
    "iterables",
    "scalars",
]
WITH_ARGUMENT = ["has", "startswith", "endswith", "ltrimstr", "rtrimstr", "split", "join", "contains", "IN"]
OVER_ELEMENTS = ["map", "select", "any", "all"]
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"]
SPACE = st.sampled_from(["", " ", "  ", "\n", " # note\n", "\t"])


def literals() -> st.SearchStrategy[str]:
    return st.sampled_from(
        ["null", "true", "false", "0", "1", "2.5", "-1", ".5", "1.", '""', '"a"', '"ab"', '","', '"\\u00e9"', '"\\n"']
    )


def joined(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Program text: the parts, with a space where two words would touch, and odd spacing now and then."""
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map(" ".join)


def paths() -> st.SearchStrategy[str]:
    step = st.sampled_from(
        [
            ".a",
            ".b",
            ".c",
            ".and",
            '."a"',
            '."a b"',
            '["a"]',
            "[0]",
            "[-1]",
            "[1.7]",
            "[-0.5]",
            ".[0]",
            ".a?",
            "[0]?",
            "?",
        ]
    )
    first = st.sampled_from([".", ".a", ".b", '.["a"]', ".[0]", ".[-1]?", '."b"', ".a?"])
    return st.tuples(first, st.lists(step, max_size=3)).map(lambda parts: _chain(parts[0], parts[1]))


def _chain(first: str, steps: list[str]) -> str:
    if first == "." and steps and not steps[0].startswith("."):
        return ".a" + "".join(steps)
    if first == "." and steps:
        return "".join(steps)
    return first + "".join(steps)


def compose(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    term = inner.map(lambda text: f"({text})")
    arguments = st.one_of(literals(), inner)
    key = st.sampled_from(["a", "b", '"a b"', "and", '"x\\(.a)"', "(.a)", '("k")'])
    pair = st.one_of(
        key.filter(lambda text: text[0] != "("),
        st.tuples(key, inner).map(lambda parts: f"{parts[0]}:{parts[1]}"),
    )
    return st.one_of(
        joined(inner, "|", inner),
        joined(inner, "//", inner),
        joined(inner, st.sampled_from(["and", "or"]), inner),
        joined(inner, st.sampled_from(OPERATORS), inner),
        joined(term, st.sampled_from(OPERATORS), term),
        joined("if", inner, "then", inner, "else", inner, "end"),
        joined("if", inner, "then", inner, "elif", inner, "then", inner, "end"),
        st.tuples(term, st.sampled_from(["?", ".a", "[0]", ".[0]?", '."a"', ""])).map("".join),
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.lists(pair, max_size=3).map(lambda items: "{" + ", ".join(items) + "}"),
        st.tuples(st.sampled_from(WITH_ARGUMENT), arguments).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(st.sampled_from(OVER_ELEMENTS), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(TEXTS.filter(str.isalnum), inner).map(lambda parts: f'"{parts[0]}\\({parts[1]})"'),
        st.tuples(inner, SPACE).map("".join),
        term.map(lambda text: f"-{text}"),
        term.map(lambda text: f"[{text}]"),
    )


PROGRAMS = st.recursive(st.one_of(paths(), literals(), st.sampled_from(FILTERS)), compose, max_leaves=6)
MARKS = [".", ".a", ".b?", "[", "]", "(", ")", "{", "}", "a", ":", ",", "|", "//", "?", "..", "?//", ".[", "$x", ";"]
WORDS = ["and", "or", "not", "if", "then", "else", "elif", "end", "as", "null", "1", "-1", '"s"', '"\\(']
TOKENS = st.sampled_from([*OPERATORS, *FILTERS[:6], *MARKS, *WORDS, ' #"\n'])
SOUP = st.lists(TOKENS, min_size=1, max_size=7).flatmap(
    lambda tokens: st.sampled_from(["", " "]).map(lambda space: space.join(tokens))
)
PROFILE = settings(
    max_examples=1500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
seen: Counter[str] = Counter()


def ask_jq(program: object, document: Json) -> Answer:
    try:
        answer: Answer = program.input_value(document).first()  # type: ignore[attr-defined]
    except StopIteration:
        return EMPTY
    except ValueError as error:
        return Failure("runtime", str(error))
    return answer


def same(ours: Answer, theirs: Answer) -> bool:
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return isinstance(ours, Failure) and isinstance(theirs, Failure)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    return ours == theirs


def check(text: str, documents: list[Json]) -> None:
    program = parse(text)
    seen["all"] += 1
    if program.native is None:
        return
    seen["native"] += 1
    try:
        reference = jq.compile(text)
    except ValueError as error:
        raise AssertionError(f"native, but jq cannot compile it: {text!r}: {error}") from None
    for document in documents:
        ours, theirs = program.native(document), ask_jq(reference, document)
        assert same(ours, theirs) or beyond_our_numbers(ours), f"{text!r} on {document!r}: ours {ours!r}, jq {theirs!r}"
        for path, literal in program.equalities if ours is True else ():
            test = jq.compile("getpath($path) == $literal", args={"path": list(path), "literal": literal})
            assert test.input_value(document).first() is True


def beyond_our_numbers(answer: Answer) -> bool:
    """The documented deviations: sums past the largest double, remainders past 2^53, endless repetitions."""
    return isinstance(answer, Failure) and ("too large" in answer.message or "longer than" in answer.message)


@PROFILE
@given(PROGRAMS, st.lists(ROOTS, min_size=2, max_size=4))
def test_native_programs_answer_as_libjq_does(text: str, documents: list[Json]) -> None:
    check(text, documents)


@settings(PROFILE, max_examples=800)
@given(SOUP, st.lists(ROOTS, min_size=1, max_size=2))
def test_what_parses_natively_is_what_libjq_compiles(text: str, documents: list[Json]) -> None:
    check(text, documents)


def test_most_generated_programs_are_native() -> None:
    seen.clear()

    @settings(PROFILE, max_examples=300)
    @given(PROGRAMS)
    def count(text: str) -> None:
        seen["all"] += 1
        seen["native"] += parse(text).native is not None

    count()

    assert seen["native"] > 0.6 * seen["all"]
