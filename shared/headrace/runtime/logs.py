"""Logs: JSON lines, constant sentences with facts as fields; what libraries say comes the same way."""

import logging
import sys
import time
from typing import TextIO

import structlog

_QUIET_SECONDS = 30.0
_SENTENCES = 1_000


def configure_logs(level: str = "INFO", human: bool = False, file: TextIO | None = None) -> None:
    """Set up logging once per process, on standard error unless a file is given; `human` gives coloured lines for a
    terminal in place of JSON. Libraries are heard from WARNING on: below it they print what they send."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    # Plain tracebacks only: the fancy ones print local variables, and these may hold secrets.
    plain = structlog.dev.plain_traceback
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=plain) if human else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file or sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in [it for it in root.handlers if isinstance(it, _Passing)]:
        root.removeHandler(handler)
    root.addHandler(_Passing(max(number, logging.WARNING)))


class _Passing(logging.Handler):
    """Passes what libraries log on to our own log.

    A client that tries again every few milliseconds says so every time. So what it says in the same words is passed on
    once in a while, with the number of times that it was not.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            words = (record.name, str(record.msg))
            now = time.monotonic()
            last, unsaid = self._said.get(words, (-_QUIET_SECONDS, 0))
            if now - last < _QUIET_SECONDS:
                self._said[words] = (last, unsaid + 1)
                return
            if len(self._said) >= _SENTENCES:
                self._said.clear()
            self._said[words] = (now, 0)
            said = structlog.get_logger().bind(library=record.name, **({"unsaid": unsaid} if unsaid else {}))
            # what a library takes for an error, ours may well be waiting for: it is ours to say when something is lost
            said.log(min(record.levelno, logging.WARNING), record.getMessage(), exc_info=record.exc_info or None)
        except Exception:
            self.handleError(record)
