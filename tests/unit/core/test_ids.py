"""Derived ids: their shape, and that they never change. Stored runs and redelivered messages depend on these values."""

import re

import pytest

from headrace.core import ids

RUN = "wfr_0000000000000000"
NODE_RUN = "wfnr_0000000000000000"

GOLDEN = [
    (ids.derive("a"), "znLihDUZGDgcgIPR"),
    (ids.derive("a", "b"), "Z3jpKv2pZkGEX9BZ"),
    (ids.derive(), "MwM5yLJJ9CpI5iUM"),
    (ids.derive("é\ud800"), "14gxT2cdiRXOE6uv"),
    (ids.run_id("flow", "start", "evt_1"), "wfr_7xklAlQMulKCD4vA"),
    (ids.node_run_id(RUN, "a"), "wfnr_NpvdpGEUb6LgMC9L"),
    (ids.version_id("flow", 1), "wfv_rYCYs8Qs05jWK5Du"),
    (ids.attempt_id(NODE_RUN, 3), NODE_RUN + ":3"),
    (ids.timer_id(NODE_RUN, 2, "retry"), NODE_RUN + ":2:retry"),
]


@pytest.mark.parametrize(("derived", "expected"), GOLDEN)
def test_ids_are_what_they_always_were(derived: str, expected: str) -> None:
    assert derived == expected


def test_the_jitter_is_what_it_always_was() -> None:
    assert ids.fraction("retry", NODE_RUN, "1") == 0.6489734407804505


def test_run_and_node_run_ids_have_the_published_shape() -> None:
    for number in range(500):
        assert re.fullmatch(r"wfr_[a-zA-Z0-9]{16}", ids.run_id("flow", "start", str(number)))
        assert re.fullmatch(r"wfnr_[a-zA-Z0-9]{16}", ids.node_run_id(RUN, str(number)))


def test_different_parts_give_different_ids() -> None:
    parts = [("a", "b"), ("ab",), ("a", "", "b"), ("a", "b", ""), ("", "a", "b"), ("b", "a"), ("a",), ()]

    assert len({ids.derive(*each) for each in parts}) == len(parts)


def test_a_run_has_its_own_id_per_workflow_trigger_and_cause() -> None:
    found = {ids.run_id(*each) for each in (("f", "s", "e"), ("g", "s", "e"), ("f", "t", "e"), ("f", "s", "d"))}

    assert len(found) == 4


def test_many_ids_do_not_collide() -> None:
    assert len({ids.derive("node", str(number)) for number in range(50_000)}) == 50_000


def test_every_digit_is_used() -> None:
    seen = set("".join(ids.derive(str(number)) for number in range(500)))

    assert len(seen) == 62


def test_fractions_lie_between_zero_and_one_and_are_spread_evenly() -> None:
    found = [ids.fraction("x", str(number)) for number in range(5_000)]

    assert all(0 <= value < 1 for value in found)
    assert all(abs(sum(value < limit / 10 for value in found) - 500 * limit) < 150 for limit in range(1, 10))
