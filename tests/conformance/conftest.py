"""Asserts in the suites explain themselves as those in test modules do."""

import pytest

SUITES = (
    "log",
    "run_store",
    "definition_store",
    "claim_store",
    "ledger",
    "schedule_store",
    "pending_store",
    "gate_store",
)

for suite in SUITES:
    pytest.register_assert_rewrite(f"tests.conformance.{suite}_suite")
