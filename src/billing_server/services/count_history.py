"""Counting what came before: a new meter, and a price that looks at single events, find their past.

Usage is a function of the stored events and the meters. So a meter that is applied later counts the
events that other meters of its quantity have counted, and a meter whose price is rated by event
from now on keeps what each earlier event brought. That takes time where much was counted, and
happens once, inside `apply`.
"""

from collections.abc import Iterable
from enum import Enum
from itertools import groupby
from typing import Final

from billing_server.domain.catalog.model import Meter, UsagePrice
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.price_model import EventModel
from billing_server.services.recount_usage import recount_minutes

MINUTES_TOGETHER: Final = 120
"""Minutes of a customer that are counted anew together."""


class KeptEvents(Enum):
    """What became of the single events that meters keep."""

    AS_BEFORE = "as_before"
    MORE = "more"


def count_history(unit: UnitOfWork, *, meter: Meter) -> None:
    """Counts for a new meter what other meters of its quantity have counted.

    Args:
        unit: a write transaction that holds the catalog; the meter is written in it.
        meter: a meter that was not there before.
    """
    others = [
        other.key
        for other in unit.catalog.meters()
        if other.key != meter.key and meter.quantity in {other.quantity, ""}
    ]
    _recount(unit, meter_keys=others)


def keep_events(unit: UnitOfWork, *, prices: Iterable[UsagePrice]) -> KeptEvents:
    """Lets those meters keep what each event brings on which there is a price rated by event.

    Args:
        unit: a write transaction that holds the catalog.
        prices: of a plan version, an add-on or a subscription that is to be written.

    Returns:
        Whether a meter keeps more than before.
    """
    kept = unit.catalog.kept_by_event()
    changed = []
    for meter_key, money in money_read_by(prices).items():
        wanted = kept.get(meter_key, frozenset()) | money
        if kept.get(meter_key) != wanted:
            unit.catalog.keep_by_event(meter_key, money_quantities=wanted)
            changed.append(meter_key)
    if not changed:
        return KeptEvents.AS_BEFORE
    unit.catalog.advance_revision()
    _recount(unit, meter_keys=changed)
    return KeptEvents.MORE


def money_read_by(prices: Iterable[UsagePrice]) -> dict[str, frozenset[str]]:
    """Returns the meters whose events prices look at, with what they read as money."""
    found: dict[str, frozenset[str]] = {}
    for price in prices:
        model = price.model
        if isinstance(model, EventModel):
            name = model.amount_quantity
            names = frozenset[str]() if name is None else frozenset({name})
            found[price.meter] = found.get(price.meter, frozenset()) | names
    return found


def _recount(unit: UnitOfWork, *, meter_keys: list[str]) -> None:
    if not meter_keys or not unit.catalog.meters_with_usage(meter_keys):
        return
    walk = unit.usage_facts.minutes_of_meters(meter_keys)
    for customer_id, found in groupby(walk, key=lambda place: place[0]):
        minutes = [minute for _, minute in found]
        for first in range(0, len(minutes), MINUTES_TOGETHER):
            part = minutes[first : first + MINUTES_TOGETHER]
            recount_minutes(unit, customer_id=customer_id, minutes=part)
