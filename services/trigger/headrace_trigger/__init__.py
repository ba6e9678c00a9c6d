"""The trigger service: entity events in, runs wanted out, and a ledger of why each trigger did or did not fire."""
