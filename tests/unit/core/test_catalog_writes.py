"""What a write says, what is wrong with it, what results, and the event that tells of it."""

from typing import Any

import pytest

from headrace.core.authoring.findings import Findings
from headrace.core.catalog import change, timers, writes
from headrace.core.catalog.blueprint import Blueprint, read_blueprint
from headrace.core.catalog.change import Author
from headrace.core.catalog.entity import Entity, document_of
from headrace.core.catalog.timers import Timers
from headrace.core.json import Json, JsonObject
from headrace.core.times import parse_iso

SERVICE = read_blueprint(
    "service",
    {
        "schema": {
            "properties": {
                "tier": {"type": "string", "enum": ["silver", "gold"], "default": "silver"},
                "replicas": {"type": "number", "minimum": 0},
                "meta": {"type": "object"},
                "ip": {"type": "string", "format": "ipv6"},
                "ttl": {"type": "string", "format": "timer"},
                "review": {"type": "string", "format": "timer"},
            },
            "required": ["replicas"],
        },
        "relations": {
            "domain": {"target": "domain", "required": True},
            "owners": {"target": "user", "many": True},
            "parent": {"target": "service"},
        },
    },
)
BILLING = Entity(
    "service", "billing", 5, "ann", 6, "bob", "Billing", None, ("pay",),
    {"tier": "gold", "replicas": 2, "gone": "from the blueprint"}, {"domain": "money", "owners": ["x", "y"]},
)  # fmt: skip
T1, T2 = "2026-01-31T09:00:00Z", "2026-02-01T09:00:00+01:00"
A1, A2 = parse_iso(T1), parse_iso(T2)


def write(
    document: Json, before: Entity | None = None, merging: bool = False, schema: Blueprint = SERVICE
) -> tuple[Entity, list[tuple[str, str]]]:
    """The entity that results, and what is wrong."""
    findings = Findings()
    given = writes.read_given(document, schema, "billing", findings)
    entity = writes.result_of(schema, before, given, "billing", merging, "cid", 9)
    writes.check_result(schema, entity, findings)
    return entity, [(it.code, it.pointer) for it in findings.result()]


GOOD: dict[str, Any] = {"properties": {"replicas": 3}, "relations": {"domain": "money"}}


def test_what_is_created_has_the_defaults_and_its_author() -> None:
    entity, problems = write({**GOOD, "team": "ops"})

    assert problems == []
    assert entity == Entity(
        "service", "billing", 9, "cid", 9, "cid", None, None, ("ops",),
        {"tier": "silver", "replicas": 3}, {"domain": "money"},
    )  # fmt: skip


def test_a_replacement_keeps_nothing_but_the_birth() -> None:
    entity, problems = write(GOOD, BILLING)

    assert problems == []
    assert (entity.created_at, entity.created_by, entity.updated_at, entity.updated_by) == (5, "ann", 9, "cid")
    assert (entity.title, entity.team) == (None, ())
    assert entity.properties == {"tier": "silver", "replicas": 3}
    assert entity.relations == {"domain": "money"}


def test_a_merge_changes_what_is_given_and_null_takes_away() -> None:
    document: JsonObject = {
        "title": None, "properties": {"tier": None, "meta": {"a": 1}}, "relations": {"owners": ["z", "z"]},
    }  # fmt: skip

    entity, problems = write(document, BILLING, merging=True)

    assert problems == []
    assert (entity.title, entity.team) == (None, ("pay",))
    assert entity.properties == {"replicas": 2, "gone": "from the blueprint", "meta": {"a": 1}}
    assert entity.relations == {"domain": "money", "owners": ["z"]}


def test_a_merge_with_nothing_there_is_a_creation() -> None:
    assert write(GOOD, None, merging=True) == write(GOOD, None)


def test_an_entity_that_was_read_can_be_sent_back_and_changes_nothing() -> None:
    whole: JsonObject = {**document_of(BILLING), "properties": {"tier": "gold", "replicas": 2}}

    entity, problems = write(whole, BILLING, merging=True)

    assert problems == []
    assert writes.changes_nothing(BILLING, entity)
    assert not writes.changes_nothing(BILLING, write({"properties": {"replicas": 2.5}}, BILLING, merging=True)[0])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], [("wrong-type", "")]),
        ({"identifier": "other"}, [("identifier-mismatch", "/identifier")]),
        ({"identifier": "a b"}, [("bad-identifier", "/identifier")]),
        ({"blueprint": "team"}, [("identifier-mismatch", "/blueprint")]),
        ({"propertys": {}}, [("unknown-field", "/propertys")]),
        ({"title": 1, "icon": "x" * 1_001}, [("wrong-type", "/title"), ("too-long", "/icon")]),
        ({"team": [1]}, [("wrong-type", "/team")]),
        ({"properties": []}, [("wrong-type", "/properties")]),
        ({"properties": {"Tier": "gold"}}, [("unknown-property", "/properties/Tier")]),
        ({"properties": {"tier": "lead"}}, [("not-in-enum", "/properties/tier")]),
        ({"properties": {"replicas": "2"}}, [("wrong-type", "/properties/replicas")]),
        ({"properties": {"replicas": -1}}, [("out-of-range", "/properties/replicas")]),
        ({"properties": {"replicas": None}}, [("missing-property", "/properties/replicas")]),
        ({"properties": {"ip": "::1"}}, []),
        ({"properties": {"ip": "10.0.0.1"}}, [("bad-format", "/properties/ip")]),
        ({"properties": {"ttl": "2026-01-31"}}, [("bad-format", "/properties/ttl")]),
        ({"properties": {"ttl": "2026-01-31T09:00:00"}}, [("bad-format", "/properties/ttl")]),
        ({"properties": {"ttl": 1}}, [("wrong-type", "/properties/ttl")]),
        ({"properties": {"ttl": T2}}, []),
        ({"relations": {"domian": "x"}}, [("unknown-relation", "/relations/domian")]),
        ({"relations": {"domain": ["money"]}}, [("wrong-type", "/relations/domain")]),
        ({"relations": {"domain": None}}, [("missing-relation", "/relations/domain")]),
        ({"relations": {"owners": "x"}}, [("wrong-type", "/relations/owners")]),
        ({"relations": {"owners": ["x", 1, ""]}}, [("wrong-type", "/relations/owners/1"),
                                                   ("bad-identifier", "/relations/owners/2")]),
        ({"relations": {"owners": ["x"] * 1_001}}, [("too-many-items", "/relations/owners")]),
    ],
    ids=lambda it: str(it)[:50] if isinstance(it, dict) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(document: Json, expected: list[tuple[str, str]]) -> None:
    assert write(document, BILLING, merging=True)[1] == expected


def test_messages_are_whole_sentences() -> None:
    findings = Findings()
    writes.read_given({"title": 1, "team": 2, "properties": [], "relations": 1, "x": 1}, SERVICE, None, findings)

    assert len(findings.result()) == 5
    assert all(it.message.endswith(".") and not it.message[0].islower() for it in findings.result())


def test_what_is_required_must_be_there_in_the_end() -> None:
    assert write({})[1] == [("missing-property", "/properties/replicas"), ("missing-relation", "/relations/domain")]


def test_only_what_a_write_points_to_anew_must_exist() -> None:
    after, _ = write(
        {"relations": {"domain": "money", "owners": ["x", "z", "a b"], "parent": "billing"}}, BILLING, merging=True
    )

    assert writes.new_targets(SERVICE, BILLING, after) == {"/relations/owners/1": "user/z"}
    assert writes.new_targets(SERVICE, None, after) == {
        "/relations/domain": "domain/money", "/relations/owners/0": "user/x", "/relations/owners/1": "user/z",
    }  # fmt: skip


# timers


def with_timers(**instants: str) -> Entity:
    return write({"properties": dict(instants)}, BILLING, merging=True)[0]


def test_a_timer_is_armed_fires_once_and_is_armed_again_by_another_value() -> None:
    armed = timers.set_timers(SERVICE, with_timers(ttl=T2, review=T1), Timers())
    assert armed == Timers({"ttl": A2, "review": A1})
    assert armed.next_due_at == A1

    assert timers.fire(armed, A1 - 1) == ({}, armed)
    due, left = timers.fire(armed, A1)
    assert (due, left) == ({"review": A1}, Timers({"ttl": A2}, {"review": A1}))

    again = timers.set_timers(SERVICE, with_timers(ttl=T1, review="2026-01-31T10:00:00+01:00"), left)
    assert again == Timers({"ttl": A1}, {"review": A1}), "another spelling is no other instant"
    assert timers.set_timers(SERVICE, with_timers(ttl=T1), again) == Timers({"ttl": A1}), "taken away"
    assert timers.set_timers(SERVICE, with_timers(review=T2), again) == Timers({"review": A2}), "armed again"


def test_timers_that_are_due_together_fire_earliest_first() -> None:
    due, left = timers.fire(Timers({"ttl": A2, "review": A1}), A2)

    assert list(due) == ["review", "ttl"]
    assert left.next_due_at is None


# events


def test_the_event_of_a_change_has_both_shapes() -> None:
    after = with_timers()

    event = change.change_event(BILLING, after, Author("cid", "UI", "org_1"), 0)

    assert event == {
        "action": "UPDATE", "resourceType": "entity", "status": "SUCCESS",
        "trigger": {"by": {"orgId": "org_1", "userId": "cid"}, "origin": "UI", "at": "1970-01-01T00:00:00.000Z"},
        "context": {
            "blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None,
        },
        "diff": {"before": document_of(BILLING), "after": document_of(after)},
    }  # fmt: skip


def test_the_action_follows_from_what_was_and_what_is() -> None:
    author = Author("cid")

    def parts(event: JsonObject) -> tuple[Json, bool, bool]:
        diff: Any = event["diff"]
        return event["action"], diff["before"] is not None, diff["after"] is not None

    assert parts(change.change_event(None, BILLING, author, 0)) == ("CREATE", False, True)
    assert parts(change.change_event(BILLING, None, author, 0)) == ("DELETE", True, False)
    timer = change.timer_event(BILLING, "ttl", 0)
    assert parts(timer) == ("TIMER_EXPIRED", False, True)
    assert timer["context"] == {
        "blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": "ttl",
    }  # fmt: skip


def test_ids_are_the_same_for_the_same_and_differ_for_anything_else() -> None:
    reborn = Entity("service", "billing", 6, "ann", 6, "ann")
    other = Entity("service", "other", 5, "ann", 5, "ann")

    assert change.change_id(BILLING, 1) == change.change_id(with_timers(), 1)
    assert len({change.change_id(it, rev) for it in (BILLING, reborn, other) for rev in (1, 2)}) == 6
    assert change.timer_id(BILLING, "ttl", 1) == change.timer_id(with_timers(ttl=T1), "ttl", 1)
    assert len({change.timer_id(it, p, at) for it in (BILLING, reborn) for p in ("a", "b") for at in (1, 2)}) == 8
