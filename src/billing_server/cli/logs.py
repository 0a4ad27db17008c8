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
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each line: standard error may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
