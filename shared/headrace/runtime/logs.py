"""Logs: JSON lines on standard error, constant sentences with facts as fields."""

import logging
import sys

import structlog


def configure_logs(level: str = "INFO", human: bool = False) -> None:
    """Set up logging once per process; `human` gives coloured lines for a terminal in place of JSON."""
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
