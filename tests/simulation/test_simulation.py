"""The protocol under fire: thousands of seeded histories without a violation, and mutants that must be caught.

A failing seed is printed; `simulate(seed)` lives through exactly that history again.
"""

import os
import secrets
from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "2000"))
CHUNK = 100
MUTANT_SEEDS = 400


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Thousands of warnings about a broken world are not worth reading."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_history_violates_an_invariant(first: int) -> None:
    """V1-V10 hold through crashes, zombies, duplicates, disorder, rollbacks and rebalances; and all work gets done."""
    outcomes = [simulate(seed) for seed in range(first, min(first + CHUNK, SEEDS))]

    assert {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations} == {}
    hardships = {
        name: sum(getattr(outcome, name) for outcome in outcomes)
        for name in ("kills", "zombies", "rollbacks", "conflicts", "takeovers")
    }
    assert all(count >= len(outcomes) / 4 for count in hardships.values()), f"too easy to prove anything: {hardships}"


def test_a_fresh_seed_each_time() -> None:
    """Fixed seeds find what they once found; these have never been tried."""
    seeds = [secrets.randbelow(2**48) for _ in range(20)]

    found = {seed: outcome.violations for seed in seeds if (outcome := simulate(seed)).violations}

    assert found == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name: str) -> None:
    """An engine without this defence must be seen to fail, else the simulation is blind."""
    for seed in range(MUTANT_SEEDS):
        if simulate(seed, MUTANTS[name]).violations:
            return
    pytest.fail(f"the mutant {name} survived {MUTANT_SEEDS} histories")


def test_the_same_seed_lives_the_same_history() -> None:
    """A failure can be looked at again only if its seed decides everything."""
    assert simulate(11) == simulate(11)
