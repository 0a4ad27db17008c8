"""`billing-server quote`."""

import json
from pathlib import Path

from typer.testing import CliRunner

from billing_server.cli.app import app

REQUEST = (
    '{"currency": "USD", "quantity": "1500", "price": {"model": "per_unit", "unit_price": "0.002"}}'
)


def test_a_quote_is_answered_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "quote.json"
    file.write_text(REQUEST)
    from_file = CliRunner().invoke(app, ["quote", str(file)])
    from_stdin = CliRunner().invoke(app, ["quote", "-"], input=REQUEST)
    assert from_file.stdout == from_stdin.stdout
    answer = json.loads(from_file.stdout)
    # 1,500 × 0.002 = 3.
    assert (answer["amount"], answer["rounded"]) == ("3", "3.00")


def test_a_bad_request_is_answered_in_its_place_and_the_exit_code_is_1() -> None:
    lines = f"{REQUEST}\n{{}}\n{REQUEST}\n"
    result = CliRunner().invoke(app, ["quote", "-"], input=lines)
    assert result.exit_code == 1
    first, second, third = (json.loads(line) for line in result.stdout.splitlines())
    assert "error" in second
    assert first == third
