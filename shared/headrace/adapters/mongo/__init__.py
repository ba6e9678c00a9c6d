"""Runs, workflows, claims, the ledger and the catalog on MongoDB (docs/mongodb.md)."""

from headrace.adapters.mongo.catalog import MongoCatalog
from headrace.adapters.mongo.claims import MongoClaimStore
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.errors import DocumentTooLargeError, MongoRefusedError
from headrace.adapters.mongo.gates import MongoGateStore
from headrace.adapters.mongo.indexes import create_indexes, missing_indexes, require_indexes
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.pending import MongoPendingStore
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.adapters.mongo.schedules import MongoScheduleStore
from headrace.adapters.mongo.settings import MongoSettings

__all__ = [
    "DocumentTooLargeError",
    "MongoCatalog",
    "MongoClaimStore",
    "MongoDatabase",
    "MongoDefinitionStore",
    "MongoGateStore",
    "MongoLedger",
    "MongoPendingStore",
    "MongoRefusedError",
    "MongoRunStore",
    "MongoScheduleStore",
    "MongoSettings",
    "create_indexes",
    "missing_indexes",
    "require_indexes",
]
