"""Errors of commands: said on standard error, one mistake a line, and a non-zero exit code."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from metering.errors import MeteringError

EXIT_ERROR = 1


class ReportingGroup(TyperGroup):
    """A command with sub-commands that says errors in one place."""

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command; an error of the product becomes a message and exit code 1."""
        try:
            return super().invoke(ctx)
        except MeteringError as error:
            report_error(error)
            raise typer.Exit(EXIT_ERROR) from error


def report_error(error: MeteringError) -> None:
    """Say an error: each mistake on a line of its own, as `file:line: field: what and remedy`."""
    if not error.violations:
        print(f"error: {error}", file=sys.stderr)
        return
    for each in error.violations:
        is_named = not each.field or each.field in each.description
        print(
            each.description if is_named else f"{each.field}: {each.description}", file=sys.stderr
        )
    count = len(error.violations)
    mistakes = "1 mistake" if count == 1 else f"{count} mistakes"
    print(f"error: {mistakes} ({error.reason}); nothing was changed", file=sys.stderr)
