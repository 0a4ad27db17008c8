"""Which subscription, period and price a customer's usage belongs to.

A quantity is priced once per customer: by the subscription that the dimension `subscription` names,
else by the earliest started active one that has a matching price.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NamedTuple

from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.rating.matching import PriceMatcher
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period

SUBSCRIPTION_DIMENSION: Final = "subscription"
"""Name of the dimension by which an event chooses its subscription."""
_ALWAYS: Final = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)


class UsageKey(NamedTuple):
    """Which quantity of a subscription's period: what is rated together and makes one line."""

    price_key: str
    """The usage price."""
    segment: int = 0
    """Position of the price's segment in the period, from 0 (R17)."""

    @classmethod
    def of(cls, segment: Segment) -> "UsageKey":
        """Returns the key of a price's segment."""
        return cls(segment.price.key, segment.index)


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
    segment: Segment | None = None
    """The span of the period in which the price stands unchanged, rated on its own (R17); None:
    unpriced."""

    @property
    def usage_key(self) -> UsageKey | None:
        """What it counts for inside the subscription's period; None: unpriced."""
        return None if self.segment is None else UsageKey.of(self.segment)

    @property
    def is_priced(self) -> bool:
        """Whether a price charges the usage."""
        return self.price is not None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A subscription that has, in some phase, a price for a series."""

    timeline: Timeline
    """The subscription."""
    price_keys: tuple[str | None, ...]
    """By phase: the price that charges the series; None: none does."""

    def price_key_at(self, instant: datetime) -> str | None:
        """Returns the price that charges the series at an instant."""
        found = None
        for phase, price_key in zip(self.timeline.phases, self.price_keys, strict=True):
            if phase.start > instant:
                break
            found = price_key
        return found


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
            (timeline, [PriceMatcher(phase.plan.usage_prices) for phase in timeline.phases])
            for timeline in in_order
        ]

    def series(self, meter_key: str, *, dimensions: Mapping[str, str]) -> "SeriesAssigner":
        """Returns the assigner of one series: a meter with one set of dimensions.

        Usage that names a subscription is charged by that one or, where it has no price for it,
        by none: another subscription never pays for a name that is wrong.
        """
        named = dimensions.get(SUBSCRIPTION_DIMENSION)
        matching = []
        for timeline, matchers in self._candidates:
            if named is not None and timeline.subscription.id != named:
                continue
            prices = [matcher.best_price(meter_key, dimensions=dimensions) for matcher in matchers]
            if any(price is not None for price in prices):
                keys = tuple(None if price is None else price.key for price in prices)
                matching.append(_Candidate(timeline, keys))
        return SeriesAssigner(matching)

    def assign(self, meter_key: str, *, dimensions: Mapping[str, str], at: datetime) -> Assignment:
        """Returns what charges usage at one instant; for many, keep the series' assigner."""
        return self.series(meter_key, dimensions=dimensions).at(at)

    def constant_spans(self, period: Period) -> list[Period]:
        """Returns the spans of a period in which every series has one assignment.

        They are cut where any phase of a subscription starts or ends: folds of usage over such a
        span can be assigned whole.
        """
        cuts = {period.start, period.end}
        for timeline, _ in self._candidates:
            cuts.update(border for border in _borders(timeline) if period.contains(border))
        instants = sorted(cuts)
        return [Period(start, end) for start, end in pairwise(instants)]


class SeriesAssigner:
    """Assigns the instants of one series; remembers the answer that it gave last."""

    __slots__ = ("_last", "_matching")

    def __init__(self, matching: list[_Candidate]) -> None:
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
        for candidate in self._matching:
            for border in _borders(candidate.timeline):
                if border <= instant:
                    valid_from = max(valid_from, border)
                else:
                    valid_until = min(valid_until, border)
        for candidate in self._matching:
            price_key = candidate.price_key_at(instant)
            period = None if price_key is None else candidate.timeline.period_at(instant)
            if price_key is None or period is None:
                continue
            segment = candidate.timeline.segment_at(price_key, period=period, at=instant)
            if segment is not None and isinstance(segment.price, UsagePrice):
                return Assignment(
                    candidate.timeline,
                    segment.price,
                    period,
                    max(valid_from, period.start),
                    min(valid_until, period.end),
                    segment,
                )
        return Assignment(None, None, None, valid_from, valid_until)


def _borders(timeline: Timeline) -> list[datetime]:
    """Returns the instants at which a subscription's answer may change, apart from its periods."""
    end = timeline.subscription.end
    starts = [phase.start for phase in timeline.phases]
    return starts if end is None else [*starts, end]
