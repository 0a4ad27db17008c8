"""The metrics of quota, by limit and what it counts: no customer is ever a label."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from meter_agent.quota.view import LimitView, QuotaView
from meter_agent.uplink.lease_state import LeaseFigures
from metering.quantity import unscale_quantity

PREFIX: Final = "meter_agent_"

Amount = Callable[[LimitView], int]
_GAUGES: Final[tuple[tuple[str, str, Amount], ...]] = (
    ("lease_granted", "Granted to open leases and not returned.", lambda item: item.granted),
    ("lease_consumed", "Of that, consumed.", lambda item: item.consumed),
    ("lease_held", "Of that, held by reservations.", lambda item: item.held),
)
_COUNTERS: Final[tuple[tuple[str, str, Amount], ...]] = (
    (
        "limit_granted_offline",
        "Granted from the agent's own allowance.",
        lambda item: item.granted_offline,
    ),
    (
        "limit_uncovered",
        "Usage without a reservation that no lease bore.",
        lambda item: item.uncovered,
    ),
    (
        "limit_overrun",
        "Usage beyond what was reserved that no lease bore.",
        lambda item: item.overrun,
    ),
)


def quota_families(
    view: QuotaView, leases: LeaseFigures, *, offline_seconds: float
) -> Iterator[Metric]:
    """Yields every family once. Amounts are in the meter's unit, or major units of the currency.

    Args:
        view: Quota now.
        leases: The lease side of the uplink.
        offline_seconds: How long it has not been answered by now; 0 where it has.
    """
    for name, text, amount in _GAUGES:
        gauge = GaugeMetricFamily(PREFIX + name, text, labels=["limit", "unit"])
        for item in view.limits:
            gauge.add_metric([item.limit_key, item.unit], _in_unit(item, amount))
        yield gauge
    for name, text, amount in _COUNTERS:
        counter = CounterMetricFamily(PREFIX + name, text, labels=["limit", "unit"])
        for item in view.limits:
            counter.add_metric([item.limit_key, item.unit], _in_unit(item, amount))
        yield counter
    yield from _decisions(view)
    yield from _reservations(view)
    yield from _uplink(leases, offline_seconds)


def _in_unit(item: LimitView, amount: Amount) -> float:
    return float(unscale_quantity(amount(item), decimals=item.decimals))


def _decisions(view: QuotaView) -> Iterator[Metric]:
    refused = CounterMetricFamily(
        PREFIX + "quota_refused", "Calls refused.", labels=["limit", "reason"]
    )
    for (limit_key, reason), count in sorted(view.refused.items()):
        refused.add_metric([limit_key, reason], count)
    yield refused
    exceeded = CounterMetricFamily(
        PREFIX + "limit_exceeded",
        "Calls granted although the limit was passed: soft, shadow, or open offline.",
        labels=["limit", "unit"],
    )
    for item in view.limits:
        exceeded.add_metric([item.limit_key, item.unit], item.exceeded_count)
    yield exceeded
    decided = CounterMetricFamily(
        PREFIX + "quota_decisions", "Answers to reservations and extensions.", labels=["decision"]
    )
    for decision, count in sorted(view.decided.items()):
        decided.add_metric([decision], count)
    yield decided


def _reservations(view: QuotaView) -> Iterator[Metric]:
    yield _gauge("leases", "Leases on record that are not closed.", view.lease_count)
    yield _gauge("reservations_held", "Reservations that are held.", view.held_count)
    yield _gauge(
        "reservations_unsettled",
        "Reservations that expired and that nobody ended: possible leaks of revenue.",
        view.unsettled_count,
    )
    ended = CounterMetricFamily(
        PREFIX + "reservations_ended", "Reservations ended.", labels=["case"]
    )
    for case, count in sorted(view.ended.items()):
        ended.add_metric([case], count)
    yield ended
    yield _counter("reservations_expired", "Reservations that expired.", view.expired_total)
    yield _counter(
        "reservations_billed_on_expiry",
        "Of these, those billed because their limit says so.",
        view.billed_on_expiry_total,
    )


def _uplink(leases: LeaseFigures, offline_seconds: float) -> Iterator[Metric]:
    yield _counter("lease_syncs", "Syncs of leases answered.", leases.sync_count)
    yield _counter("lease_asks", "Calls of AcquireLease answered.", leases.ask_count)
    yield _counter("lease_failures", "Calls of the lease side that failed.", leases.failure_count)
    yield _gauge(
        "leases_offline_seconds",
        "How long leases are spent without the server; 0 where it answers.",
        offline_seconds,
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)
