"""An hour on virtual time, every agent connected: clients that crash leave nothing held or lost."""

import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
import structlog

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from tests.simulation import quota_fleet
from tests.simulation.quota_drawing import LATE_SECONDS
from tests.simulation.quota_fleet import QuotaFleet
from tests.simulation.quota_money import MONEY
from tests.simulation.quota_rest import judge_rest

HOUR_SECONDS: Final = 3_600.0
CALLS: Final = 600
LONGEST_HOLD_SECONDS: Final = 8.0 + 32.0 + LATE_SECONDS
"""A call that runs for four times its ttl of 8 s, and whose last renewal is its last word."""
SEED: Final = 2
"""A world of three agents, whose customers pay."""
WIDE: Final = Limit(
    key="units",
    subject=LimitSubject.METER,
    meter="input_tokens",
    maximum=Decimal(20_000),
    window=LimitWindow(WindowUnit.LIFETIME),
)
"""More than the calls of the hour can use: each refusal would be a false one."""
WIDE_CAP: Final = Limit(
    key=MONEY,
    subject=LimitSubject.MONEY,
    maximum=Decimal(2_000),
    window=LimitWindow(WindowUnit.BILLING_PERIOD),
)
"""More than all of that can cost."""


class Hour(QuotaFleet):
    """A fleet in which nothing goes wrong but that callers vanish in mid-call."""

    def pass_by(self) -> None:
        """Lives through the hour, and until the last hold has gone back."""
        world, source = self.world, self.world.source
        world.heal()
        for _ in range(CALLS):
            world.after(source.random() * HOUR_SECONDS, self._call)
        world.run(HOUR_SECONDS)
        world.run(HOUR_SECONDS + LONGEST_HOLD_SECONDS)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.timeout(300)
def test_after_an_hour_with_all_agents_connected_nothing_is_held_and_all_can_be_had(
    tmp_path: Path,
) -> None:
    fleet = Hour(SEED, directory=tmp_path)
    fleet.worst = ""
    with fleet.living(
        (
            (quota_fleet, "drawn_limits", lambda _source: [WIDE]),
            (quota_fleet, "drawn_money_limit", lambda _source: WIDE_CAP),
        )
    ):
        fleet.pass_by()
        assert not any(agent.parts.counter.book.all_reservations() for agent in fleet.agents)
        judge_rest(fleet)  # Nobody holds anything, and one call is granted all that is left.
    answers = fleet.truth.answers
    assert (len(fleet.agents), fleet.kinds.has_money) == (3, True)
    assert not [name for name in answers if name.isupper()]  # Reasons of refusals.
    assert answers["granted"] >= CALLS
    assert sum(count for name, count in answers.items() if name.startswith("ended")) < CALLS - 40
    assert answers["all of it at try 1"] == len(fleet.customers)
