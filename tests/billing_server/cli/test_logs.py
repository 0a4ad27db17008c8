"""Logs go to standard error, from a level on."""

from collections.abc import Iterator

import pytest
import structlog

from billing_server.cli.logs import LogLevel, configure_logs


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_only_what_is_severe_enough_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.WARNING)
    log = structlog.get_logger("test")
    log.info("quiet")
    log.warning("loud")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "loud" in captured.err
    assert "quiet" not in captured.err


def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO)
    token = "very-" + "secret"
    try:
        int(token[:4])
    except ValueError:
        structlog.get_logger("test").exception("failed")
    captured = capsys.readouterr()
    assert "ValueError: invalid literal" in captured.err
    assert "very-secret" not in captured.err
