"""The embedded log and stores: in memory, written through to one SQLite file when a journal is given."""

from headrace.adapters.embedded.catalog import EmbeddedCatalog
from headrace.adapters.embedded.claims import EmbeddedClaimStore
from headrace.adapters.embedded.definitions import EmbeddedDefinitionStore
from headrace.adapters.embedded.gates import EmbeddedGateStore
from headrace.adapters.embedded.journal import (
    Journal,
    JournalDamagedError,
    JournalError,
    JournalLockedError,
    JournalVersionError,
)
from headrace.adapters.embedded.ledger import EmbeddedLedger
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.pending import EmbeddedPendingStore
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.adapters.embedded.schedules import EmbeddedScheduleStore

__all__ = [
    "EmbeddedCatalog",
    "EmbeddedClaimStore",
    "EmbeddedDefinitionStore",
    "EmbeddedGateStore",
    "EmbeddedLedger",
    "EmbeddedLog",
    "EmbeddedPendingStore",
    "EmbeddedRunStore",
    "EmbeddedScheduleStore",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "JournalLockedError",
    "JournalVersionError",
]
