"""docs/state-machine.md is what the code does, and its check notices when it is not."""

from pathlib import Path

import pytest

from schemas import state_machine


def test_the_page_says_what_the_code_does() -> None:
    """When this fails on purpose: python schemas/state_machine.py > docs/state-machine.md."""
    assert state_machine.PAGE.read_text(encoding="utf-8") == state_machine.page()


def test_every_command_meets_every_state() -> None:
    found = state_machine.outcomes(is_last=False)

    assert len(found) == len(state_machine.COMMANDS) * len(state_machine.STATES)
    for (name, state), (before, decision) in found.items():
        assert bool(decision.events) is (decision.rejection is None), (name, state)
        assert decision.rejection is None or decision.run is before, (name, state)


@pytest.mark.parametrize("name", list(state_machine.COMMANDS))
def test_a_run_that_is_over_refuses_every_command(name: str) -> None:
    before, decision = state_machine.outcomes(is_last=True)[name, "run COMPLETED"]

    assert before is not None
    assert before.is_over
    assert decision.rejection is not None


def test_every_phase_occurs_on_the_page() -> None:
    page = Path(state_machine.PAGE).read_text(encoding="utf-8")

    for word in ("running", "waiting", "retrying", "done", "CANCELLING", "COMPLETED", "stale-attempt", "not-due"):
        assert word in page
