"""The connection to MongoDB, with the promises that the stores rest on.

Reads are majority reads of the primary and writes are journaled by a majority, whatever the connection string says:
one node's word is not enough, since what it holds alone may be rolled back. A standalone server can promise neither, so
it is refused.
"""

import asyncio
from typing import Any, Final

import structlog
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from headrace.adapters.mongo.errors import MongoRefusedError, codes, reason, translated
from headrace.adapters.mongo.settings import MongoSettings

OLDEST_WIRE_VERSION: Final = 17
"""MongoDB 6.0."""

_FIRST_DELAY: Final = 0.25  # seconds
_LONGEST_DELAY: Final = 5.0
_NEVER: Final = frozenset((13, 18, 11, 334, 8000))
"""Codes that mean the same tomorrow: no rights, authentication failed, no such user or mechanism, refused by Atlas."""

_log = structlog.get_logger("headrace.mongo")

Document = dict[str, Any]


class MongoDatabase:
    """One database of one replica set. Make it, `connect`, hand it to the stores, `close` it."""

    def __init__(self, settings: MongoSettings) -> None:
        """Connects to nothing yet. Raises MongoRefusedError when the connection string is no such string."""
        self.settings = settings
        self.name = settings.database
        self.client = _client(settings)
        self._database: AsyncDatabase[Document] = self.client.get_database(
            settings.database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern(w="majority", j=True, wtimeout=int(settings.write_timeout_seconds * 1000)),
        )

    def collection(self, name: str) -> AsyncCollection[Document]:
        """A collection with majority reads and journaled majority writes."""
        return self._database[name]

    async def connect(self) -> None:
        """Wait until a primary answers; says in the log what it waits for.

        Raises MongoRefusedError when waiting cannot help: a standalone server, one that is too old, credentials that
        are wrong or not sufficient.
        """
        delay = _FIRST_DELAY
        while (trouble := await self._trouble()) is not None:
            _log.warning(
                "waiting for MongoDB", addresses=self.addresses, database=self.name, reason=trouble, delay_seconds=delay
            )
            await asyncio.sleep(delay)
            delay = min(_LONGEST_DELAY, delay * 2)
        _log.info("connected to MongoDB", addresses=self.addresses, database=self.name)

    async def ping(self) -> None:
        """Ask the primary for a sign of life. Raises UnavailableError."""
        with translated("answer a ping"):
            await self._database.command("ping")

    async def barrier(self, session: Any) -> None:
        """Later reads in this causal session see all that the primary has applied by now, once a majority has it."""
        await self._database.command("ping", session=session)

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    @property
    def addresses(self) -> str:
        """The hosts of the connection string, without its credentials."""
        return _addresses(self.settings)

    async def _trouble(self) -> str | None:
        """What stands in the way now and may go away; None when all is well."""
        try:
            hello = await self.client.admin.command("hello")
            trouble = self._judge(hello)
            if trouble is None:
                # `hello` needs no rights; this needs those of a reader
                await self.collection("counters").find_one({"_id": "rights"})
        except ConfigurationError as error:
            raise MongoRefusedError(
                f"MongoDB at {self.addresses} cannot be used: {error}. Headrace needs MongoDB 6.0 or later."
            ) from None
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and _NEVER.intersection(codes(error)):
                raise MongoRefusedError(
                    f"MongoDB at {self.addresses} refuses us in the database {self.name!r}: {reason(error)}. "
                    "Name a user who may read and write there in the connection string (HEADRACE_MONGODB__URI)."
                ) from None
            return reason(error)
        return trouble

    def _judge(self, hello: Document) -> str | None:
        is_router = hello.get("msg") == "isdbgrid"
        if not is_router and "setName" not in hello:
            if hello.get("isreplicaset"):
                return "the replica set is not initiated yet: run rs.initiate() on it once"
            raise MongoRefusedError(
                f"MongoDB at {self.addresses} is a standalone server, and Headrace needs a replica set; one node is "
                "enough. A standalone server has no majority reads and no retryable writes, so what it acknowledged "
                "could be lost. Start mongod with --replSet rs0, run rs.initiate() once, and start again."
            )
        if hello.get("maxWireVersion", 0) < OLDEST_WIRE_VERSION:
            raise MongoRefusedError(f"MongoDB at {self.addresses} is too old: Headrace needs MongoDB 6.0 or later.")
        if not is_router and not hello.get("isWritablePrimary"):
            return "this member is not the primary: name all members, and leave out directConnection"
        return None


def _client(settings: MongoSettings) -> AsyncMongoClient[Document]:
    try:
        return AsyncMongoClient(
            settings.uri.get_secret_value(),
            appname="headrace",
            retryWrites=True,
            retryReads=True,
            serverSelectionTimeoutMS=int(settings.server_selection_timeout_seconds * 1000),
            connectTimeoutMS=int(settings.connect_timeout_seconds * 1000),
            socketTimeoutMS=int(settings.socket_timeout_seconds * 1000),
            maxPoolSize=settings.max_pool_size,
        )
    except (PyMongoError, ValueError, TypeError) as error:
        # its text may quote a piece of the string, and the piece may be the password
        raise MongoRefusedError(
            f"The connection string of MongoDB cannot be read ({type(error).__name__}). It must look like "
            "mongodb://user:password@host1,host2/?replicaSet=rs0; percent-encode : / ? # [ ] @ % in user and password."
        ) from None


def _addresses(settings: MongoSettings) -> str:
    # after the last @: a password with a bare one must not show
    authority = settings.uri.get_secret_value().rpartition("://")[2].rpartition("@")[2]
    return authority.partition("/")[0].partition("?")[0]
