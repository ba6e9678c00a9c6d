"""Settings of MongoDB that would lose something are refused."""

import pytest
from pydantic import ValidationError

from headrace.adapters.mongo import MongoSettings
from headrace.contracts.topics import TOPICS

URI = "mongodb://user:pass-w0rd@host/"


def settings(**values: object) -> MongoSettings:
    return MongoSettings.model_validate({"uri": URI, **values})


def test_what_is_kept_by_default_outlives_every_topic_by_a_week() -> None:
    kept = settings()

    longest = max(topic.retention_days for topic in TOPICS)
    assert kept.topic_retention_days == longest
    assert min(kept.run_retention_days, kept.claim_retention_days) >= longest + 7


@pytest.mark.parametrize("name", ["run_retention_days", "claim_retention_days"])
def test_what_would_be_forgotten_before_its_event_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be at least 14"):
        settings(**{name: 13})

    settings(**{name: 14})


def test_topics_that_are_kept_longer_demand_that_runs_are() -> None:
    with pytest.raises(ValidationError, match="run_retention_days must be at least 97"):
        settings(topic_retention_days=90, claim_retention_days=100)

    settings(topic_retention_days=90, claim_retention_days=97, run_retention_days=97)


def test_a_connection_may_not_be_given_up_before_the_write_it_waits_for() -> None:
    with pytest.raises(ValidationError, match="socket_timeout_seconds must be longer"):
        settings(socket_timeout_seconds=10, write_timeout_seconds=10)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a.b", "$a", "a\x00", "a" * 64, "ä" * 32])
def test_a_database_s_name_must_be_one(name: str) -> None:
    with pytest.raises(ValidationError, match="database"):
        settings(database=name)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="databse"):
        settings(databse="headrace")


def test_the_password_is_not_shown() -> None:
    assert "pass-w0rd" not in repr(settings())
    assert "pass-w0rd" not in settings().model_dump_json()
