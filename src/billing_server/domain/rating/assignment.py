"""Which subscription, period and price a customer's usage belongs to.

A quantity is priced once per customer: by the subscription that the dimension `subscription` names,
else by the earliest started active one that has a matching price.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.rating.matching import PriceMatcher
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period

SUBSCRIPTION_DIMENSION: Final = "subscription"
"""Name of the dimension by which an event chooses its subscription."""
_ALWAYS: Final = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What charges a series of usage, and for which instants this holds."""

    timeline: Timeline | None
    """The subscription that charges it; None: unpriced."""
    price: UsagePrice | None
    """The price that charges it; None: unpriced."""
    period: Period | None
    """The billing period that it counts in; None: unpriced."""
    valid_from: datetime
    """First instant for which the same answer holds, UTC."""
    valid_until: datetime
    """First instant for which it may no longer hold, UTC."""
    segment: int = 0
    """Position of the segment in the period; a period is one segment in this version (R17)."""

    @property
    def is_priced(self) -> bool:
        """Whether a price charges the usage."""
        return self.price is not None


class CustomerAssigner:
    """The subscriptions of one customer, compiled for assigning usage.

    Made once for each revision of the customer and the catalog; immutable then.
    """

    __slots__ = ("_candidates",)

    def __init__(self, timelines: Iterable[Timeline]) -> None:
        in_order = sorted(
            timelines, key=lambda timeline: (timeline.subscription.start, timeline.subscription.id)
        )
        self._candidates = [
            (timeline, PriceMatcher(timeline.plan.usage_prices)) for timeline in in_order
        ]

    def series(self, meter_key: str, *, dimensions: Mapping[str, str]) -> "SeriesAssigner":
        """Returns the assigner of one series: a meter with one set of dimensions.

        Usage that names a subscription is charged by that one or, where it has no price for it,
        by none: another subscription never pays for a name that is wrong.
        """
        named = dimensions.get(SUBSCRIPTION_DIMENSION)
        matching = []
        for timeline, matcher in self._candidates:
            if named is not None and timeline.subscription.id != named:
                continue
            price = matcher.best_price(meter_key, dimensions=dimensions)
            if price is not None:
                matching.append((timeline, price))
        return SeriesAssigner(matching)

    def assign(self, meter_key: str, *, dimensions: Mapping[str, str], at: datetime) -> Assignment:
        """Returns what charges usage at one instant; for many, keep the series' assigner."""
        return self.series(meter_key, dimensions=dimensions).at(at)

    def constant_spans(self, period: Period) -> list[Period]:
        """Returns the spans of a period in which every series has one assignment.

        They are cut where any subscription or added price starts or ends: folds of usage over such
        a span can be assigned whole.
        """
        cuts = {period.start, period.end}
        for timeline, _ in self._candidates:
            subscription = timeline.subscription
            borders = (subscription.start, subscription.end, *subscription.price_starts.values())
            cuts.update(
                instant for instant in borders if instant is not None and period.contains(instant)
            )
        instants = sorted(cuts)
        return [Period(start, end) for start, end in pairwise(instants)]


class SeriesAssigner:
    """Assigns the instants of one series; remembers the answer that it gave last."""

    __slots__ = ("_last", "_matching")

    def __init__(self, matching: list[tuple[Timeline, UsagePrice]]) -> None:
        """Takes the subscriptions that have a price for the series, earliest start first."""
        self._matching = matching
        self._last: Assignment | None = None

    def at(self, instant: datetime) -> Assignment:
        """Returns what charges usage at an instant, with the span in which that holds."""
        last = self._last
        if last is not None and last.valid_from <= instant < last.valid_until:
            return last
        assignment = self._assign(instant)
        self._last = assignment
        return assignment

    def _assign(self, instant: datetime) -> Assignment:
        valid_from, valid_until = _ALWAYS
        for timeline, price in self._matching:
            subscription = timeline.subscription
            price_start = subscription.price_starts.get(price.key)
            for border in (subscription.start, subscription.end, price_start):
                if border is None:
                    continue
                if border <= instant:
                    valid_from = max(valid_from, border)
                else:
                    valid_until = min(valid_until, border)
        for timeline, price in self._matching:
            price_start = timeline.subscription.price_starts.get(price.key)
            if price_start is not None and instant < price_start:
                continue
            period = timeline.period_at(instant)
            if period is not None:
                return Assignment(
                    timeline,
                    price,
                    period,
                    max(valid_from, period.start),
                    min(valid_until, period.end),
                )
        return Assignment(None, None, None, valid_from, valid_until)
