"""Errors are said on standard error, one mistake a line."""

import pytest

from billing_server.cli.errors import report_error
from metering.errors import FieldViolation, ValidationError


def test_an_error_without_fields_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(ValidationError(reason="X", message="it is wrong"))
    assert capsys.readouterr() == ("", "error: it is wrong\n")


def test_each_violation_is_a_line_that_names_its_field(capsys: pytest.CaptureFixture[str]) -> None:
    violations = [
        FieldViolation("plans[0].key", "a.yaml:3: plans[0].key: is missing"),
        FieldViolation("limit", "must be 1 or more"),
    ]
    report_error(ValidationError(reason="X", message="both", violations=violations))
    assert capsys.readouterr().err.splitlines() == [
        "a.yaml:3: plans[0].key: is missing",
        "limit: must be 1 or more",
        "error: 2 mistakes (X); nothing was changed",
    ]
