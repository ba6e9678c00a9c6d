"""What can go wrong in a command, named by what the person at the keyboard can do about it; and the exit codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from headrace.core.errors import HeadraceError, Severity


class ExitCode(IntEnum):
    """What the shell gets. docs/cli.md lists them; scripts rest on them."""

    OK = 0
    FAILED = 1
    """The thing asked for failed: the run, the validation, the demo."""
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    CANCELLED = 7
    """The run that was waited for was cancelled."""
    TOO_LONG = 8
    """The run that was waited for is not over after the time given."""
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with its place in a text. Line and column count from 1; line 0 means the whole document."""

    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    line: int = 0
    column: int = 0
    pointer: str = ""


class CommandError(HeadraceError):
    """Root of the errors that end a command without a traceback. `hint` says what to do next."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CommandError):
    """Raised for arguments that make no sense together, or files that cannot be read."""

    exit_code = ExitCode.USAGE


class UnreachableError(CommandError):
    """Raised when the server does not answer. Start it, or point --url elsewhere."""

    exit_code = ExitCode.UNREACHABLE


class NotAllowedError(CommandError):
    """Raised when the server refuses us: no credentials, wrong ones, or too few rights."""

    exit_code = ExitCode.NOT_ALLOWED


class NotFoundError(CommandError):
    """Raised when the server does not know the thing that was named."""

    exit_code = ExitCode.NOT_FOUND


class ConflictError(CommandError):
    """Raised when the thing changed, or is over, or exists already."""

    exit_code = ExitCode.CONFLICT


class RejectedError(CommandError):
    """Raised when the server refused a document or inputs. `findings` says where and why."""

    def __init__(self, message: str, findings: Sequence[Finding] = (), hint: str = "") -> None:
        super().__init__(message, hint)
        self.findings = tuple(findings)
