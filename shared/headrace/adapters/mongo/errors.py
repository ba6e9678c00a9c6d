"""What can go wrong with MongoDB, in our words.

PyMongo's errors carry the documents they are about, and their text prints them. So the text of ours is made from names
and codes only, and the originals are not chained: a traceback would print them too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from headrace.core.errors import HeadraceError
from headrace.ports.errors import TooLargeError, UnavailableError

DUPLICATE_KEY: Final = 11000
_TOO_LARGE: Final = frozenset((10334, 17419, 17420))
_NAMES: Final = {
    2: "BadValue",
    13: "Unauthorized: look at the rights of the user in the connection string",
    18: "AuthenticationFailed: look at the user and the password in the connection string",
    50: "MaxTimeMSExpired",
    64: "WriteConcernFailed: a majority of the replica set did not confirm the write in time",
    91: "ShutdownInProgress",
    112: "WriteConflict",
    189: "PrimarySteppedDown",
    10107: "NotWritablePrimary",
    11000: "DuplicateKey",
    11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
    14031: "OutOfDiskSpace: make room on the disk of MongoDB",
}


class MongoRefusedError(HeadraceError):
    """MongoDB cannot be used as it is: wrong credentials, a standalone server, a missing index. Waiting cannot help.

    The message says what to change.
    """


class DocumentTooLargeError(TooLargeError):
    """A document is larger than MongoDB stores (16 MiB). Nothing was written, and to repeat cannot help."""


def unavailable(doing: str, error: PyMongoError | None) -> UnavailableError:
    """The error to raise when MongoDB does not answer, refuses for now, or leaves the outcome unknown."""
    return UnavailableError(f"MongoDB could not {doing}: {reason(error) if error else 'the outcome stays unknown'}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Errors of PyMongo become UnavailableError; `doing` says what was tried, after "could not"."""
    try:
        yield
    except PyMongoError as error:
        raise unavailable(doing, error) from None
    except BSONError as error:
        raise HeadraceError(f"MongoDB could not {doing}: a value cannot be written as BSON ({_kind(error)})") from None


def reason(error: PyMongoError) -> str:
    """Why, in words that show neither documents nor credentials."""
    if isinstance(error, BulkWriteError):
        return ", ".join(dict.fromkeys(_name(code) for code in codes(error))) or _kind(error)
    if isinstance(error, AutoReconnect) and not isinstance(error, NotPrimaryError):
        # an address and the system's own words; what follows is the driver's settings and its view of the servers
        words = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        return f"{words} ({_kind(error)})"
    if isinstance(error, OperationFailure | NotPrimaryError):
        return ", ".join(_name(code) for code in codes(error)) or _kind(error)
    return _kind(error)


def codes(error: PyMongoError) -> list[int]:
    """The server's error codes in an error, those of a bulk write's single writes included."""
    if isinstance(error, BulkWriteError):
        details = error.details
        return [it["code"] for it in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ()))]
    if isinstance(error, NotPrimaryError):
        found = error.details.get("code") if isinstance(error.details, dict) else None
        return [found] if isinstance(found, int) else []
    code = error.code if isinstance(error, OperationFailure | ExecutionTimeout | WTimeoutError) else None
    return [code] if code is not None else []


def is_too_large(error: PyMongoError) -> bool:
    """Whether a document was refused for its size."""
    return any(code in _TOO_LARGE for code in codes(error))


def _name(code: int) -> str:
    return f"{_NAMES[code]} (code {code})" if code in _NAMES else f"code {code}"


def _kind(error: Exception) -> str:
    return type(error).__name__
