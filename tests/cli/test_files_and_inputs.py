"""Events from files, inputs from the command line, credentials from their places."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from headrace_cli import credentials, events_file, inputs
from headrace_cli.credentials import Credentials
from headrace_cli.errors import UsageError


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"a": 1}]', '\n{"a": 1}\n\n', '\ufeff{"a": 1}'])
def test_a_file_may_hold_one_event_or_an_array(tmp_path: Path, text: str) -> None:
    file = tmp_path / "events.json"
    file.write_text(text, encoding="utf-8")

    assert events_file.read(str(file)) == [{"a": 1}]


def test_a_file_may_hold_one_event_a_line() -> None:
    assert events_file.parse("f", '{"a": 1}\n\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1}\n{"a": }\n', "f:2:7: Expecting value."),
        ('{\n  "a": 1,\n}', "f:3:1: "),
        ("", "f holds no event."),
        ("[]", "f holds no event."),
        ("[1]", "f: event 1 is no JSON object."),
        ('{"a": 1}\n5\n', "f: event 2 is no JSON object."),
    ],
)
def test_a_broken_file_is_complained_about_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        events_file.parse("f", text)

    assert caught.value.message.startswith(complaint)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        events_file.read(str(tmp_path / "no.json"))


def test_inputs_are_json_where_they_look_like_it_and_text_otherwise() -> None:
    pairs = ["a=5", "b=true", "c=plain text", "d=x=y", 'e="5"', "f=", "g=[1]"]

    assert inputs.gather(pairs, None) == {
        "a": 5, "b": True, "c": "plain text", "d": "x=y", "e": "5", "f": "", "g": [1],
    }  # fmt: skip


def test_pairs_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text('{"a": 1, "b": 2}')

    assert inputs.gather(["b=3"], str(file)) == {"a": 1, "b": 3}


@pytest.mark.parametrize("pair", ["a", "=5"])
def test_a_pair_without_a_name_or_value_is_a_usage_error(pair: str) -> None:
    with pytest.raises(UsageError, match="write name=value"):
        inputs.gather([pair], None)


def test_saved_credentials_are_found_by_url_and_only_the_owner_can_read_them(home: Path) -> None:
    file = credentials.save("http://127.0.0.1:8080", Credentials("dev", "secret"))
    credentials.save("http://127.0.0.1:9090", Credentials("other", "secret"))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert credentials.find("http://localhost:8080/") == Credentials("dev", "secret")
    assert credentials.find("http://127.0.0.1:7070") is None


def test_saving_again_replaces_the_entry_and_keeps_the_others_and_the_mode(home: Path) -> None:
    credentials.save("http://a", Credentials("one", "1"))
    credentials.save("http://b", Credentials("two", "2"))
    file = credentials.save("http://a", Credentials("three", "3"))

    assert json.loads(file.read_text()) == {
        "http://a": {"clientId": "three", "clientSecret": "3"},
        "http://b": {"clientId": "two", "clientSecret": "2"},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["credentials.json"]


def test_the_environment_wins_and_half_of_it_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.save("http://a", Credentials("file", "1"))
    monkeypatch.setenv("HEADRACE_CLIENT_ID", "env")

    with pytest.raises(UsageError, match="HEADRACE_CLIENT_SECRET is not set"):
        credentials.find("http://a")

    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", "2")
    assert credentials.find("http://a") == Credentials("env", "2")


def test_a_secret_never_shows_in_a_repr() -> None:
    assert "hush" not in repr(Credentials("dev", "hush"))


def test_a_broken_credentials_file_is_a_usage_error_and_is_replaced_when_saved(home: Path) -> None:
    file = credentials.file_path()
    file.parent.mkdir()
    file.write_text("{")

    with pytest.raises(UsageError, match="cannot be read"):
        credentials.find("http://a")

    credentials.save("http://a", Credentials("dev", "1"))
    assert credentials.find("http://a") == Credentials("dev", "1")
