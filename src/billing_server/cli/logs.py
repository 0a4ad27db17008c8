"""Logs of the programs: on standard error, so that standard output is for answers alone."""

import logging
import sys
from enum import IntEnum

import structlog


class LogLevel(IntEnum):
    """The least that is logged."""

    INFO = logging.INFO
    WARNING = logging.WARNING


def configure_logs(level: LogLevel) -> None:
    """Send the log to standard error, from a level on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # Without the values of variables: among them are customers' data and tokens.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each line: standard error may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
