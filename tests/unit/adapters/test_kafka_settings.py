"""Kafka's settings refuse what does not fit together, and docs/kafka.md says what they are."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from headrace.adapters.kafka import KafkaSettings
from headrace.adapters.kafka.connection import client_arguments
from headrace.adapters.kafka.errors import KafkaRefusedError
from tools.sources import ROOT

SASL = {
    "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "ann",
    "sasl_password": "s3cret",
}  # fmt: skip


def settings(**given: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9092", **given})


def test_servers_are_one_text_or_several() -> None:
    assert settings(bootstrap_servers=" a:1, b:2 ,").bootstrap_servers == ("a:1", "b:2")
    assert settings(bootstrap_servers=["a:1", "[::1]:2"]).servers == "a:1,[::1]:2"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"bootstrap_servers": ""}, "at least 1 item"),
        ({"bootstrap_servers": "kafka"}, "'kafka' must be host:port"),
        ({"bootstrap_server": "a:1"}, "Extra inputs"),
        ({"security_protocol": "SASL_SSL"}, "also needs sasl_mechanism, sasl_username, sasl_password"),
        ({**SASL, "sasl_username": ""}, "also needs sasl_username"),
        ({"sasl_username": "ann"}, "sasl_username would not be used with security_protocol PLAINTEXT"),
        ({**SASL, "sasl_mechanism": "GSSAPI"}, "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file would not be used with security_protocol PLAINTEXT"),
        ({"security_protocol": "SSL", "ssl_cert_file": "c.pem"}, "ssl_cert_file and ssl_key_file belong together"),
        ({"heartbeat_interval_ms": 20_000}, "at most a third of session_timeout_ms"),
        ({"rebalance_timeout_ms": 10_000}, "must not be below session_timeout_ms"),
        ({"max_poll_interval_ms": 50_000}, "must not be below rebalance_timeout_ms"),
        ({"compression": "snappy"}, "'none', 'gzip', 'lz4' or 'zstd'"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_named(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    assert complaint in str(caught.value)


def test_the_password_is_shown_nowhere_and_reaches_the_client() -> None:
    made = settings(**SASL)

    assert "s3cret" not in repr(made)
    assert "s3cret" not in made.model_dump_json()
    arguments = client_arguments(made)
    assert arguments["sasl_plain_password"] == "s3cret"
    assert arguments["ssl_context"].check_hostname is True


def test_a_file_for_tls_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"

    with pytest.raises(KafkaRefusedError, match=re.escape(str(missing))):
        client_arguments(settings(security_protocol="SSL", ssl_ca_file=missing))


def test_the_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
    table = page.partition("| held by |")[2].partition("\n\n")[0]
    held_by = [line.split("|")[3] for line in table.splitlines() if line.count("|") == 4]
    named = re.findall(r"`([a-z_]+)…?`", "".join(held_by[1:]))
    files = [
        ROOT / "tests/conformance/log_suite.py",
        ROOT / "tests/unit/adapters/test_kafka_internals.py",
        *(ROOT / "tests/integration/kafka").glob("test_*.py"),
    ]
    tests = "".join(file.read_text(encoding="utf-8") for file in files)

    assert len(named) >= 17
    assert [name for name in named if f"def test_{name.rstrip('_')}" not in tests] == []


def test_the_page_has_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", page, flags=re.MULTILINE))

    def shown(default: Any) -> str:
        if default is PydanticUndefined:
            return "required"
        return "none" if default is None else f"`{default}`"

    assert found == {name: shown(field.default) for name, field in KafkaSettings.model_fields.items()}
