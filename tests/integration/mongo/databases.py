"""Settings for databases of tests."""

import secrets

from headrace.adapters.mongo import MongoSettings


def lasting(uri: str, **others: float) -> MongoSettings:
    """Settings for a new database whose documents of last year are not forgotten at once."""
    days = dict.fromkeys(("run_retention_days", "claim_retention_days", "ledger_retention_days"), 3_650)
    return MongoSettings.model_validate({"uri": uri, "database": f"test_{secrets.token_hex(4)}", **days, **others})
