"""Structured logs to stderr: key=value on a terminal, one JSON object a line otherwise."""

import contextlib
import logging
import sys
from typing import Any, Final

import structlog

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Without the values of variables: among them are customers' events and the agent's token.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logs(level: str) -> None:
    """Sends the agent's events, and what libraries log, to stderr.

    Args:
        level: Least level that is shown: debug, info, warning or error.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        rendering: list[Any] = [
            structlog.processors.ExceptionPrettyPrinter(),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ]
    else:
        rendering = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=_Stderr()),  # type: ignore[arg-type]
    )
    logging.basicConfig(
        level=max(_LEVELS[level], logging.WARNING), format="%(message)s", handlers=[_Bridge()]
    )


class _Stderr:
    """The process's stderr, where a write that fails is no error.

    Logs often lie on the disk that is full, or in a pipe whose reader has gone. Neither may end the
    thread that had something to say.
    """

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class _Bridge(logging.Handler):
    """Passes records of the standard library's loggers on as structured events."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info)
