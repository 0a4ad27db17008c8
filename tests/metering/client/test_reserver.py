"""Both meters ask in the same words; each makes reservations of its own kind."""

import inspect
from typing import assert_type

from metering import AsyncMeter, Meter
from metering.client.async_reservation import AsyncReservation
from metering.client.reservation import Reservation
from metering.client.reserver import Reserver
from metering.testing import FakeAgent


def test_a_reservation_is_of_the_kind_of_its_meter() -> None:
    with FakeAgent() as agent:
        with Meter(agent.address) as meter:
            made = meter.reserve(customer="acme", quantities={"tokens": 1})
            assert isinstance(assert_type(made, Reservation), Reservation)
        other = AsyncMeter(agent.address)
        later = other.reserve(customer="acme", quantities={"tokens": 1})
        assert isinstance(assert_type(later, AsyncReservation), AsyncReservation)


def test_arguments_are_written_once_and_shown_by_both() -> None:
    assert Meter.reserve is Reserver.reserve is AsyncMeter.reserve
    assert "minimum" in inspect.signature(Meter.reserve).parameters
