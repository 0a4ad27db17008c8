"""A customer with a hard limit: each call asks before it is made, and stops where the limit is."""

import csv
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from examples.llm.recompute import Usage
from metering import Meter, MeterOptions, QuotaDenied
from tools.programs import ProgramError

CUSTOMER = "customer-limited"
MODEL = "small"
CALL_COUNT = 120
MAX_TOKENS = 400
"""The longest answer that a call asks for."""
MIN_TOKENS = 16
"""With less left, the call is not worth making."""
RETRY_SECONDS = 0.25
PATIENCE_SECONDS = 90.0
PASSING_REASONS = frozenset({"AGENT_UNAVAILABLE", "SERVER_AWAY"})
"""Refusals of a moment: a program is being killed. The limit itself has not spoken."""


@dataclass(frozen=True, slots=True)
class Call:
    """One row of a trace."""

    input_tokens: int
    """Tokens of the prompt. >= 1."""
    output_tokens: int
    """Tokens that the model would answer with, were it not cut short. >= 1."""
    at: datetime
    """When it was used."""


def read_calls(trace: Path, *, first_event: datetime) -> list[Call]:
    """Returns the first calls of a trace, all placed at the replay's first instant."""
    with trace.open(newline="") as lines:
        rows = list(csv.DictReader(lines))[:CALL_COUNT]
    return [
        Call(int(row["ContextTokens"]), int(row["GeneratedTokens"]), first_event) for row in rows
    ]


class LimitedCustomer(threading.Thread):
    """Makes its calls evenly over the replay. What it settles is what it must be billed."""

    def __init__(self, agent_address: str, *, calls: list[Call], seconds: float) -> None:
        """Takes `seconds` for all calls together; asks nothing yet."""
        super().__init__(daemon=True)
        self.usage: Usage = defaultdict(int)
        self.granted_count = self.shortened_count = self.refused_count = self.retried_count = 0
        self.refusal: QuotaDenied | None = None
        self.error: Exception | None = None
        self._calls = calls
        self._pause_seconds = seconds / len(calls)
        self._meter = Meter(agent_address, options=MeterOptions(quota_timeout_seconds=2))

    @property
    def output_tokens(self) -> int:
        """Tokens that were used of the limit."""
        return self.usage["output_tokens", MODEL]

    def run(self) -> None:
        """Makes the calls; `finish` raises what went wrong."""
        try:
            for call in self._calls:
                self._ask_until_answered(call)
                time.sleep(self._pause_seconds)
        except Exception as error:  # noqa: BLE001 - raised again in `finish`
            self.error = error

    def finish(self) -> None:
        """Waits for the last call, and until the agent has every settlement on its disk.

        Raises:
            ProgramError: a call failed, or that did not happen in time.
        """
        self.join(PATIENCE_SECONDS)
        if self.error:
            raise ProgramError(f"a call of {CUSTOMER} failed: {self.error}") from self.error
        if self.is_alive() or not self._meter.close(timeout=PATIENCE_SECONDS):
            raise ProgramError(f"{CUSTOMER} did not end its calls in {PATIENCE_SECONDS:g} s")

    def _ask_until_answered(self, call: Call) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._make(call)
            except QuotaDenied as denied:
                if denied.reason not in PASSING_REASONS:
                    self.refused_count += 1
                    self.refusal = denied
                    return
                if time.monotonic() > deadline:
                    raise
                self.retried_count += 1
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _make(self, call: Call) -> None:
        """Reserves, calls the model with what was granted, and settles what it used."""
        with self._meter.reserve(
            customer=CUSTOMER,
            quantities={"input_tokens": call.input_tokens, "output_tokens": MAX_TOKENS},
            minimum={"output_tokens": MIN_TOKENS},
            dimensions={"model": MODEL},
        ) as reservation:
            max_tokens = int(reservation.granted["output_tokens"])
            used = {
                "input_tokens": call.input_tokens,
                "output_tokens": min(call.output_tokens, max_tokens),
                "requests": 1,
            }
            reservation.settle(used, event_time=call.at)
            self.granted_count += 1
            self.shortened_count += max_tokens < MAX_TOKENS
            for name, units in used.items():
                self.usage[name, MODEL] += units
