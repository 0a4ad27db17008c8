"""Checking running charges: the second half of a check of all usage."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.ports.usage import ChargeRow
from billing_server.services.charge_differences import ChargeDifference, charge_differences
from billing_server.services.charge_slot import AmountTooLargeError
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.period_usage import FoldSpan, PeriodUsage, fold_period
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.slot_events import newest_state
from billing_server.services.verified_sums import VerifiedSums
from billing_server.services.verify_report import VerifyMode, VerifyReport
from metering.clock import format_instant
from metering.period import Period

CUSTOMERS_TOGETHER: Final = 200
"""Customers whose charges are compared in one transaction."""


def check_charges(
    store: Store, *, mode: VerifyMode, report: VerifyReport, sums: VerifiedSums
) -> None:
    """Compare running charges with what the buckets come to, customer by customer.

    Args:
        store: opens the transactions; none may be open.
        mode: whether what differs is made anew.
        report: takes what is found.
        sums: of the buckets, as the windows were checked.
    """
    after = ""
    while True:
        wrong: list[str] = []
        with store.read() as unit:
            found = unit.usage_scan.customers_with_usage(after=after, limit=CUSTOMERS_TOGETHER)
            for customer_id in found:
                if unit.customers.get(customer_id) is None:
                    continue
                before = report.difference_count
                _check_customer(unit, customer_id=customer_id, report=report, sums=sums)
                if report.difference_count > before:
                    wrong.append(customer_id)
        for customer_id in wrong if mode is VerifyMode.REPAIR else ():
            with store.write() as unit:
                unit.customers.lock([customer_id])
                rebuild_running_charges(unit, customer_id=customer_id)
        if len(found) < CUSTOMERS_TOGETHER:
            return
        after = found[-1]


def _check_customer(
    unit: UnitOfWork, *, customer_id: str, report: VerifyReport, sums: VerifiedSums
) -> None:
    terms = load_customer_terms(unit, customer_id=customer_id)
    fold = sums.fold_of(unit, customer_id=customer_id)
    failed = unit.usage.rating_failed(customer_id)
    usage_named = (
        "the minute buckets, which differ themselves, come to"
        if customer_id in report.wrong_buckets
        else "the usage comes to"
    )
    for subscription_id, period in _periods(unit, terms=terms):
        if subscription_id in failed:
            report.unrated[subscription_id] = (
                f"customer {customer_id}, subscription {subscription_id}: cannot be rated, its "
                f"charges are not compared: {failed[subscription_id]}"
            )
            continue
        place = (
            f"customer {customer_id}, subscription {subscription_id}, period "
            f"{format_instant(period.start)}"
        )
        try:
            usage, rows, differences = _compared(
                unit, terms=terms, subscription_id=subscription_id, period=period, fold=fold
            )
        except AmountTooLargeError as error:
            report.tell(f"{place}: {error}")
            continue
        report.charge_count += len(rows)
        for key, rating in usage.event_ratings():
            saved = unit.usage_facts.event_state(key)
            if saved is not None and not rating.is_right(newest_state(saved) or ""):
                report.tell(f"{place}, price {key.price_key}: its events come to another state")
        for each in differences:
            group = f", group {each.group_key}" if each.group_key else ""
            report.tell(
                f"{place}, price {each.price_key}, segment {each.segment}{group}: stored "
                f"{each.stored}; {usage_named} {each.folded}"
            )


def _compared(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    subscription_id: str,
    period: Period,
    fold: FoldSpan,
) -> tuple[PeriodUsage, list[ChargeRow], tuple[ChargeDifference, ...]]:
    """Return the usage of a period, the running charges that it makes, and how they differ."""
    running = unit.usage.running_charges(
        subscription_id, customer_id=terms.customer.id, period_start=period.start
    )
    usage = fold_period(
        unit, terms=terms, subscription_id=subscription_id, period=period, fold=fold
    )
    rows = usage.charge_rows()
    differences = charge_differences(running, folded=rows)
    if differences:
        # Usage may have been counted since its window was summed: the buckets have the last word.
        usage = fold_period(unit, terms=terms, subscription_id=subscription_id, period=period)
        rows = usage.charge_rows()
        differences = charge_differences(running, folded=rows)
    return usage, rows, differences


def _periods(unit: UnitOfWork, *, terms: CustomerTerms) -> Iterator[tuple[str, Period]]:
    """Walk the periods of a customer in which there is usage, or a charge without it."""
    span = unit.usage.usage_span(terms.customer.id)
    charged: dict[str, set[datetime]] = defaultdict(set)
    for subscription_id, period_start in unit.usage_scan.charge_periods(terms.customer.id):
        charged[subscription_id].add(period_start)
    for subscription_id, timeline in terms.timelines.items():
        periods: dict[datetime, Period] = {}
        if span is not None:
            end = span[1] + timedelta(minutes=1)
            for period in timeline.periods_between(start=span[0], end=end):
                periods[period.start] = period
        for period_start in charged[subscription_id]:
            found = timeline.period_at(period_start)
            if found is not None:
                periods[found.start] = found
        for _, period in sorted(periods.items()):
            yield subscription_id, period
