"""`headrace validate`: what the files in golden/ say is what people and editors see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace_cli import documents
from tests.cli.conftest import Shell

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[2] / "examples" / "workflows"


@pytest.fixture(autouse=True)
def in_the_golden_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)


@pytest.mark.parametrize(("name", "code"), [("broken", 1), ("doubtful", 0)])
def test_the_text_is_that_of_the_golden_file(shell: Shell, name: str, code: int) -> None:
    """After a change that is meant: `headrace validate NAME.json > NAME.txt` in tests/cli/golden."""
    ended = shell("validate", f"{name}.json")

    assert ended.out == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert (ended.code, ended.err) == (code, "")


def test_warnings_fail_only_when_asked_to(shell: Shell) -> None:
    assert shell("validate", "doubtful.json").code == 0
    assert shell("validate", "--strict", "doubtful.json").code == 1


def test_json_says_the_same_with_pointers(shell: Shell) -> None:
    ended = shell("validate", "broken.json", "doubtful.json", "-o", "json")

    answer = json.loads(ended.out)
    assert (ended.code, answer["ok"], answer["files"]) == (1, False, 2)
    assert {problem["file"] for problem in answer["problems"]} == {"broken.json", "doubtful.json"}
    (unknown,) = [problem for problem in answer["problems"] if problem["code"] == "unknown-node"]
    assert (unknown["pointer"], unknown["line"], unknown["column"]) == ("/connections/0/targetIdentifier", 10, 56)


def test_every_caret_stands_under_the_value_that_the_problem_is_about(shell: Shell) -> None:
    for problem in json.loads(shell("validate", "broken.json", "-o", "json").out)["problems"]:
        line = (GOLDEN / "broken.json").read_text(encoding="utf-8").splitlines()[problem["line"] - 1]
        assert line[problem["column"] - 1] in '"{[', problem


def test_a_file_that_is_no_json_is_placed_too(shell: Shell) -> None:
    ended = shell("validate", "-", stdin='{\n  "a": 1,\n}')

    assert ended.code == 1
    assert ended.out.startswith("<stdin>:2:9: error[malformed-json]") or ended.out.startswith("<stdin>:3:1: error")


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"[]", b"5", b'{"identifier": 5}', b'{"nodes": {}}', b"[" * 5000])
def test_no_content_brings_it_down(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(raw)

    (findings,) = documents.judge(documents.find([str(file)]))

    assert any(finding.severity == "error" for finding in findings)


def test_keys_that_stand_twice_are_refused() -> None:
    file = documents.WorkflowFile("x", b'{"identifier": "a",\n "identifier": "b"}')

    ((finding,),) = documents.judge([file])

    assert (finding.code, finding.line) == ("malformed-json", 2)


def test_a_missing_file_and_an_empty_folder_are_usage_errors(shell: Shell, tmp_path: Path) -> None:
    assert shell("validate", "no.json").code == 2
    ended = shell("validate", str(tmp_path))

    assert (ended.code, ended.err) == (2, f"error: {tmp_path} holds no .json files.\n")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_every_example_is_free_of_problems(file: Path) -> None:
    assert documents.judge(documents.find([str(file)])) == [[]]


def test_foreign_jq_that_compiles_is_no_problem(shell: Shell) -> None:
    good = {
        "identifier": "g",
        "nodes": [
            {
                "identifier": "s",
                "config": {
                    "type": "EVENT_TRIGGER",
                    "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "b"},
                    "condition": {"type": "JQ", "expressions": ["reduce range(3) as $i (0; . + $i) == 3"]},
                },
            }
        ],
    }

    assert shell("validate", "-", stdin=json.dumps(good)).code == 0
