"""Templates: the rules of the specification (6.3) one by one, and its table of examples."""

import contextlib
import json
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.expression import EMPTY, Failure
from headrace.core.json import Json
from headrace.core.template import (
    Block,
    Rendered,
    TemplateError,
    TemplateProblem,
    TemplateSyntaxError,
    blocks,
    compile_template,
    find_problems,
)

ROOT: Json = {"outputs": {"t": {"n": 3, "s": "a b", "o": {"k": 1}, "list": [1, 2], "yes": True, "none": None}}}


def render(value: Json, root: Json = ROOT, **answers: Json) -> Rendered:
    return compile_template(value).render(root, answers)


# The table of examples.


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("{{ .outputs.t.n }}", 3),
        ("n={{ .outputs.t.n }}", "n=3"),
        ("{{ .outputs.t.o }}", {"k": 1}),
        ("o={{ .outputs.t.o }}", 'o={"k":1}'),
        ("{{ .outputs.nope.x }}", None),
        ({'{{ if .outputs.t.n > 5 then "big" else null end }}': 1}, {}),
        ({"{{ spreadValue() }}": "{{ .outputs.t.o }}"}, {"k": 1}),
    ],
)
def test_examples_of_the_specification(template: Json, result: Json) -> None:
    assert render(template) == result


def test_example_with_a_foreign_program() -> None:
    program = '.outputs.t.s | gsub(" ";"-")'
    template = compile_template(f"{{{{ {program} }}}}")

    assert template.foreign == (program,)
    assert template.render(ROOT, {program: "a-b"}) == "a-b"


# Rule 1: leaves pass through; arrays, objects and keys are rendered.


def test_values_that_are_no_strings_pass_through() -> None:
    assert render([1, 2.5, True, False, None, {"a": []}]) == [1, 2.5, True, False, None, {"a": []}]


def test_arrays_objects_and_keys_are_rendered() -> None:
    assert render({"k{{ .outputs.t.n }}": [{"x": "{{ .outputs.t.yes }}"}]}) == {"k3": [{"x": True}]}


# Rule 2: no block, no change.


@pytest.mark.parametrize("text", ["", "  plain  ", "a }} b", "{ {", '{"a":{"b":{}}}', "it's { fine }"])
def test_a_string_without_opening_braces_is_returned_as_it_stands(text: str) -> None:
    template = compile_template({"text": text})

    assert template.constant
    assert template.render(None) == {"text": text}


def test_a_constant_value_is_returned_itself() -> None:
    value: Json = {"a": [1, {"b": "c"}]}

    assert compile_template(value).render(ROOT) is value


# Rule 3: one block and nothing but space around keeps the type.


@pytest.mark.parametrize(
    ("path", "result"),
    [(".n", 3), (".yes", True), (".none", None), (".o", {"k": 1}), (".list", [1, 2]), (".s", "a b")],
)
def test_a_whole_string_block_keeps_its_type(path: str, result: Json) -> None:
    assert render(f"{{{{ .outputs.t{path} }}}}") == result
    assert render(f" \n {{{{.outputs.t{path}}}}}\t") == result


def test_two_blocks_are_never_a_whole() -> None:
    assert render("{{ 1 }}{{ 2 }}") == "12"


# Rule 4: in text, strings stand raw and everything else as compact JSON.


def test_values_in_text_are_raw_strings_or_compact_json() -> None:
    assert render(
        "{{ .outputs.t.s }}|{{ .outputs.t.n }}|{{ false }}|{{ null }}|{{ [1] }}|{{ {a: 1} }}|{{ [1, 2] }}"
    ) == ('a b|3|false|null|[1]|{"a":1}|[1,2]')


def test_text_keeps_its_spaces_and_letters_beyond_ascii() -> None:
    assert render('  é {{ {"é": "ü"} }} ') == '  é {"é":"ü"} '


def test_empty_in_text_is_nothing() -> None:
    assert render("a{{ empty }}b") == "ab"


# Rule 5: an undefined whole value drops its key, and is null in an array.


def test_undefined_drops_a_key_and_is_null_in_an_array() -> None:
    assert render({"a": "{{ empty }}", "b": ["{{ empty }}", 1]}) == {"b": [None, 1]}
    assert render("{{ empty }}") is EMPTY


def test_keys_keep_their_order_when_one_is_dropped() -> None:
    rendered = render({"z": "{{ 1 }}", "y": "{{ empty }}", "x": 2, "w": "{{ 3 }}"})

    assert isinstance(rendered, dict)
    assert list(rendered) == ["z", "x", "w"]


# Rule 6 (first output only) is the cage's: a foreign answer is one value. Rule 7: a missing path is null.


def test_a_missing_path_is_null_or_the_word_null() -> None:
    assert render("{{ .outputs.nope.x }}") is None
    assert render("x={{ .outputs.nope.x }}") == "x=null"


# Rule 8: an error fails the rendering, and says where and what.


def test_an_error_names_the_pointer_and_the_expression() -> None:
    with pytest.raises(TemplateError) as caught:
        render({"body": {"a/b": ["x {{ .outputs.t.n.deep }}"]}})

    assert caught.value.pointer == "/body/a~1b/0"
    assert ".outputs.t.n.deep" in caught.value.message
    assert 'Cannot index number with "deep"' in caught.value.message


def test_a_foreign_failure_and_a_missing_answer_fail_the_rendering() -> None:
    template = compile_template("{{ now }}")

    with pytest.raises(TemplateError, match="took too long"):
        template.render(ROOT, {"now": Failure("time", "took too long")})
    with pytest.raises(TemplateError, match="no answer"):
        template.render(ROOT)


# Rule 9: keys.


@pytest.mark.parametrize("key", ["{{ null }}", "{{ empty }}", '{{ "" }}', "{{ .nope }}"])
def test_a_key_of_null_undefined_or_empty_text_drops_the_pair_unrendered(key: str) -> None:
    assert render({key: "{{ .outputs.t.n.fails }}", "b": 1}) == {"b": 1}


@pytest.mark.parametrize("key", ["{{ 1 }}", "{{ true }}", "{{ [1] }}", "{{ {} }}"])
def test_a_key_of_another_type_is_an_error_at_its_pair(key: str) -> None:
    with pytest.raises(TemplateError, match="must give a string or null") as caught:
        render({"in": {key: 1}})

    assert caught.value.pointer == f"/in/{key}"


def test_a_constant_empty_key_stays() -> None:
    assert render({"": "{{ 1 }}"}) == {"": 1}
    assert render({"": 1, "{{ .outputs.t.s }}": 2}) == {"": 1, "a b": 2}


def test_a_later_key_of_the_same_name_wins() -> None:
    assert render({"a": 1, '{{ "a" }}': 2}) == {"a": 2}


# Rule 10: spreadValue.


def test_spread_value_merges_an_object_or_a_template_giving_one() -> None:
    assert render({"a": 0, "{{spreadValue( )}}": {"a": 1, "b": "{{ .outputs.t.n }}"}, "c": 2}) == {
        "a": 1,
        "b": 3,
        "c": 2,
    }
    assert render({"{{ spreadValue() }}": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize(
    "value", ["{{ .outputs.t.list }}", "{{ null }}", "{{ empty }}", "{{ 1 }}", "text", 1, None, []]
)
def test_spreading_anything_but_an_object_is_an_error(value: Json) -> None:
    with pytest.raises(TemplateError, match="must be an object"):
        render({"{{ spreadValue() }}": value})


# Rule 11: the scanner of braces.


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ('{{ "}}" }}', '"}}"'),
        ('{{ "{{" }}', '"{{"'),
        ("{{ '}}' }}", '"}}"'),
        (r'{{ "a\"}}" }}', r'"a\"}}"'),
        ("{{{ .a }}}", ".a"),
        ("{{{{{ .a }}}}", ".a"),
        ('{{"it\'s }}"}}', '"it\'s }}"'),
        ("{{ {a: {b: 1} } }}", "{a: {b: 1} }"),
        (r"{{ \} }}", r"\}"),
    ],
)
def test_quotes_and_backslashes_hide_braces_inside_a_block(text: str, program: str) -> None:
    assert [block.text for block in blocks(text)] == [program]


def test_quotes_outside_blocks_mean_nothing() -> None:
    assert render("it's {{ .outputs.t.n }} o\"clock\\{{ 1 }}") == "it's 3 o\"clock\\1"


@pytest.mark.parametrize(
    ("text", "index", "words"),
    [
        ("ab {{ .a", 3, "index 3 without closing"),
        ("ab {{ 1 }} }} c", 11, "index 11 without opening"),
        ("}} {{ 1 }}", 0, "index 0 without opening"),
        ("{{ .a {{ .b }}", 6, "index 6 inside the block that opens at index 0"),
        ('{{ "a }}', 0, "without closing"),
        ("x {{ }}", 2, "empty"),
    ],
)
def test_braces_that_do_not_pair_up_are_errors_that_cite_the_index(text: str, index: int, words: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=words) as caught:
        compile_template({"a": [text]})

    assert (caught.value.index, caught.value.pointer) == (index, "/a/0")


def test_all_problems_are_found_at_once() -> None:
    problems = find_problems({"a": "{{", "b{{": ["ok {{ 1 }}", "{{ x {{"]}, "/config")

    assert [(problem.pointer, problem.index) for problem in problems] == [
        ("/config/a", 0),
        ("/config/b{{", 1),
        ("/config/b{{/1", 5),
    ]
    assert find_problems({"a": "{{ 1 }}"}) == []
    assert problems[0] == TemplateProblem("/config/a", 0, "Found opening braces at index 0 without closing ones.")


# Rule 12: single quotes.


@pytest.mark.parametrize(
    ("block", "program"),
    [
        ("{{ 'abc' }}", '"abc"'),
        ("{{'abc'}}", '"abc"'),
        ("{{ .a == 'x' and .b == 'y z' }}", '.a == "x" and .b == "y z"'),
        ('{{ "the cats\' food" }}', '"the cats\' food"'),
        ("{{ split(',') }}", "split(',')"),
        ("{{ ' a' }}", "' a'"),
        ("{{ 'open }} '}}", "'open }} '"),
    ],
)
def test_single_quoted_literals_between_spaces_become_double_quoted(block: str, program: str) -> None:
    assert [found.text for found in blocks(block)] == [program]


# Beyond the rules.


def test_blocks_tell_pointer_index_program_and_place() -> None:
    found = list(blocks({"k{{ .a }}": ["x {{ .b }} {{ now }}"], "{{ spreadValue() }}": "{{ .c }}"}, "/config"))

    assert [(block.pointer, block.index, block.text, block.whole, block.is_key) for block in found] == [
        ("/config/k{{ .a }}", 1, ".a", False, True),
        ("/config/k{{ .a }}/0", 2, ".b", False, False),
        ("/config/k{{ .a }}/0", 11, "now", False, False),
        ("/config/{{ spreadValue() }}", 0, ".c", True, False),
    ]
    assert isinstance(found[0], Block)
    assert found[0].program.paths == (("a",),)


def test_programs_are_listed_once_in_order_of_first_occurrence() -> None:
    template = compile_template(["{{ now }} {{ .a }}", "{{ .a }}", {"{{ env }}": "{{ now }}"}])

    assert [program.text for program in template.programs] == ["now", ".a", "env"]
    assert template.foreign == ("now", "env")
    assert not template.constant


def test_what_a_block_gives_is_never_evaluated_again() -> None:
    hostile = "{{ .secrets.token }}"

    assert render({"a": "{{ .x }}", "b": "<{{ .x }}>"}, {"x": hostile, "secrets": {"token": "s3cret"}}) == {
        "a": hostile,
        "b": f"<{hostile}>",
    }


def test_rendering_leaves_the_template_and_the_data_alone() -> None:
    value: Json = {"list": ["{{ .o }}", {"k": "{{ empty }}"}]}
    before = json.dumps([value, ROOT])
    template = compile_template(value)

    first, second = template.render(ROOT), template.render(ROOT)

    assert first == second
    assert json.dumps([value, ROOT]) == before


def test_endless_nesting_is_a_syntax_error_not_a_crash() -> None:
    value: Json = "{{ 1 }}"
    for _ in range(5000):
        value = [value]

    with pytest.raises(TemplateSyntaxError, match="nested"):
        compile_template(value)
    assert find_problems(value) == []


JSON_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
PIECES = st.lists(
    st.sampled_from(["{{", "}}", "{", "}", "'", '"', "\\", " ", ".a", "1", "é", "\n", "#", "|"]), max_size=12
)


@given(PIECES.map("".join), JSON_VALUES)
def test_any_string_compiles_or_is_a_syntax_error(text: str, root: Json) -> None:
    problems = find_problems({text: text})
    try:
        template = compile_template({text: text})
    except TemplateSyntaxError:
        assert problems
        return

    assert not problems
    with contextlib.suppress(TemplateError):  # of the data; anything else is our bug
        template.render(root)


@given(JSON_VALUES)
def test_any_data_comes_through_a_block_unchanged(value: Json) -> None:
    rendered = render({"whole": "{{ .x }}", "list": ["{{ .x }}"]}, {"x": value})

    assert rendered == {"whole": value, "list": [value]}


def test_rendering_ten_fields_takes_microseconds() -> None:
    body: Json = {f"field{at}": at for at in range(7)}
    assert isinstance(body, dict)
    body |= {"a": "{{ .outputs.t.n }}", "b": "n={{ .outputs.t.s }}", "c": "{{ .outputs.t.o.k }}"}
    template = compile_template(body)

    best = min(timeit.repeat(lambda: template.render(ROOT), number=1000, repeat=5)) / 1000

    assert best < 30e-6  # measured: 1.5 µs; the rest is for busy machines
