"""Logs: JSON lines to stderr where it is no terminal, the standard library's included."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from meter_agent.logs import configure_logs
configure_logs("info")
structlog.get_logger("a").info("session_opened", session_no=3)
structlog.get_logger("a").debug("not shown")
logging.getLogger("library").warning("careful: %s", 7)
logging.getLogger("library").info("not shown")
try:
    token = "very-" + "secret"
    raise ValueError("broken")
except ValueError:
    structlog.get_logger("a").exception("commit_failed")
    logging.getLogger("library").exception("failed")
"""


def test_each_event_is_one_json_object_on_stderr() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("session_opened", "info"),
        ("careful: 7", "warning"),
        ("commit_failed", "error"),
        ("failed", "error"),
    ]
    assert lines[0]["session_no"] == 3
    assert lines[0]["timestamp"].endswith("Z")
    assert "very-secret" not in done.stderr
    assert "broken" in json.dumps(lines[2]["exception"])
    assert "broken" in json.dumps(lines[3]["exception"])


def test_a_log_that_cannot_be_written_is_no_error() -> None:
    # Closing the stream may say that its last line could not be written: that is not the log's.
    program = (
        "import contextlib, os, sys, structlog; from meter_agent.logs import configure_logs\n"
        "configure_logs('info'); log = structlog.get_logger('a')\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2); log.info('lost')\n"
        "with contextlib.suppress(OSError): sys.stderr.close()\n"
        "log.info('lost'); print('alive', flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "alive\n"
