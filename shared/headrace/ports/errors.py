"""Errors of the outside world, named by what the caller does next."""

from headrace.core.errors import HeadraceError


class UnavailableError(HeadraceError):
    """The log, a store or a helper process did not answer, or its answer is unknown.

    Keep the work, back off, read again, never guess.
    """


class AlreadyExistsError(HeadraceError):
    """A thing of that name exists already."""


class NotFoundError(HeadraceError):
    """No thing of that name exists."""


class VersionConflictError(HeadraceError):
    """The thing changed since the caller read it (If-Match, compare-and-set)."""


class TooLargeError(HeadraceError):
    """What was to be stored is larger than the store or the log takes. Nothing was written of it, and trying again
    cannot help: make it smaller, or raise the limit."""


class RecordTooLargeError(TooLargeError):
    """A record is larger than the log takes."""
