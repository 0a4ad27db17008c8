"""What calls of real traffic reserve and use."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SAMPLE: Final = Path(__file__).resolve().parents[3] / "examples" / "llm" / "trace-large.csv"
OUTPUT_TOKENS_MIN: Final = 256
"""Least cap on the output that a call asks for; above it the caps are powers of two."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the caller knows the first number before it, the second one after it."""

    reserved: int
    """Tokens that it may use at most: its input, and the cap on its output."""
    used: int
    """Tokens that it uses, 0..reserved."""


def read_calls(path: Path) -> list[Call]:
    """Reads the calls of a trace with the columns ContextTokens and GeneratedTokens."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)
        ]
    return [
        Call(reserved=context + _cap(generated), used=context + generated)
        for context, generated in rows
        if context + generated
    ]


def _cap(generated: int) -> int:
    cap = OUTPUT_TOKENS_MIN
    while cap < generated:
        cap *= 2
    return cap
