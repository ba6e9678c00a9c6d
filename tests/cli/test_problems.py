"""Problems are printed as a good compiler prints them."""

from __future__ import annotations

from headrace_cli import problems
from headrace_cli.errors import Finding


def printed(text: str, *findings: Finding) -> list[str]:
    return [line.plain for line in problems.lines("flow.json", text, findings)]


def test_a_problem_shows_its_place_its_line_a_caret_under_the_value_and_what_to_do() -> None:
    text = '{\n  "targetIdentifier": "opn-change"\n}\n'
    finding = Finding("unknown-node", "There is no node.", 'Did you mean "open-change"?', line=2, column=23)

    assert printed(text, finding) == [
        "flow.json:2:23: error[unknown-node]: There is no node.",
        '    2 |   "targetIdentifier": "opn-change"',
        "      |                       ^^^^^^^^^^^^",
        '       = hint: Did you mean "open-change"?',
    ]


def test_tabs_before_the_caret_stay_tabs_so_that_it_stands_under_the_value() -> None:
    assert printed('\t\t"a": true,', Finding("x", "m", line=1, column=8))[2] == "      | \t\t     ^^^^"


def test_a_very_long_line_is_shown_around_the_caret() -> None:
    line = '{"a": "' + "x" * 500 + '", "b": 12345}'

    shown = printed(line, Finding("x", "m", line=1, column=line.index("12345") + 1))

    assert "12345" in shown[1]
    assert len(shown[1]) < 130
    assert shown[2].index("^") == shown[1].index("12345")
    assert shown[2].count("^") == 5


def test_an_object_gets_one_caret_and_a_place_past_the_end_does_no_harm() -> None:
    assert printed('{"a": {}}', Finding("x", "m", line=1, column=7))[2].count("^") == 1
    assert printed("{", Finding("x", "m", line=1, column=99))[2] == "      |  ^"
    assert printed("{", Finding("x", "m", line=9, column=1)) == ["flow.json:9:1: error[x]: m"]


def test_a_problem_without_a_place_names_the_file_only() -> None:
    assert printed("{}", Finding("x", "m", severity="warning")) == ["flow.json: warning[x]: m"]


def test_problems_come_in_the_order_of_their_places() -> None:
    later, sooner = Finding("b", "m", line=2, column=1), Finding("a", "m", line=1, column=5)

    assert [line for line in printed("xxxxx\ny", later, sooner) if line.startswith("flow")] == [
        "flow.json:1:5: error[a]: m",
        "flow.json:2:1: error[b]: m",
    ]


def test_the_summary_counts_errors_and_warnings() -> None:
    error, warning = Finding("x", "m"), Finding("x", "m", severity="warning")

    assert problems.summary([], 2).plain == "✓ 2 files checked, no problems"
    assert problems.summary([error, error, warning], 1).plain == "✗ 2 errors and 1 warning in 1 file"
    assert problems.summary([warning], 1).plain == "! 1 warning in 1 file"
