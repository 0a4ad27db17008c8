"""Limits follow what is corrected or priced anew: a voided event no longer counts against them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.in_force import LimitInForce
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.ports.limits import LimitAccount, ThresholdEvent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow
from billing_server.services.lease_windows import customer_limits
from billing_server.services.limit_accounts import (
    Window,
    book_rolling,
    bounded,
    micros,
    passed_thresholds,
    rolling_since,
    used_of_meter,
    window_at,
)
from billing_server.services.limit_book import LimitBook
from metering.api.v1 import usage_pb2
from metering.limits import LimitKind

_FOLLOWING: Final = (LimitKind.UNITS, LimitKind.MONEY, LimitKind.ROLLING)


@contextmanager
def limits_following(
    unit: UnitOfWork,
    *,
    customer_id: str,
    now: datetime,
    used_at: Collection[datetime] = (),
    corrected: EventRow | None = None,
    book: LimitBook | None = None,
) -> Iterator[None]:
    """Settles what the block changes of counted and rated usage, in the windows that run.

    Only the difference is booked, so that what leases have settled stays as it is.

    Args:
        unit: the transaction; the customer is held in it.
        customer_id: whose usage is corrected or priced anew.
        now: the time.
        used_at: when the usage that is corrected was used; empty where usage is priced anew. A
            charge does not say on which day it came about: a spend cap of a day, or of a month,
            follows what was used in its window, or whose billing period began in it.
        corrected: the event whose usage is corrected. Where a lease of an earlier window bore it,
            it counts in that one alone: the window that runs never had it and gives nothing back.
        book: limits that are compiled already; None: they are compiled for this once.
    """
    limits = customer_limits(
        unit, book=book or LimitBook(), customer_ids=[customer_id], now=now
    ).get(customer_id)
    windows = {
        window.key: window
        for window in (window_at(limit, at=now) for limit in (limits.limits if limits else ()))
        if window.limit.kind in _FOLLOWING
    }
    for key in () if corrected is None else _borne_by(unit, corrected):
        windows = {each: windows[each] for each in windows if each == key or each[:2] != key[:2]}
    accounts = unit.limits.lock_accounts(windows)

    def counted(key: WindowKey) -> int:
        return _counted(unit, window=windows[key], used_at=used_at, now=now)

    before = {key: counted(key) for key in accounts}
    yield
    changed: list[LimitAccount] = []
    thresholds: list[ThresholdEvent] = []
    for key, account in sorted(accounts.items()):
        change = counted(key) - before[key]
        if change:
            after, crossed = _changed(
                unit, limit=windows[key].limit, account=account, change=change, now=now
            )
            changed.append(after)
            thresholds += crossed
    unit.limits.put_accounts(changed)
    unit.limits.add_threshold_events(thresholds)
    if changed:
        unit.leases.announce([customer_id])


def _borne_by(unit: UnitOfWork, event: EventRow) -> set[WindowKey]:
    """Returns the windows of the leases that bore an event."""
    debits = usage_pb2.UsageEvent.FromString(event.payload).debits
    return {lease.key for lease in unit.leases.by_id([each.lease_id for each in debits]).values()}


def _counted(
    unit: UnitOfWork, *, window: Window, used_at: Collection[datetime], now: datetime
) -> int:
    limit, span = window
    if limit.kind is not LimitKind.MONEY:
        return used_of_meter(unit, window=window, now=now)
    is_of_period = limit.limit.window.unit is WindowUnit.BILLING_PERIOD
    if span.start is None or (not is_of_period and any(map(span.contains, used_at))):
        return micros(unit.limits.rated_total(limit.customer_id))
    return micros(unit.limits.rated_total(limit.customer_id, start=span.start, end=span.end))


def _changed(
    unit: UnitOfWork, *, limit: LimitInForce, account: LimitAccount, change: int, now: datetime
) -> tuple[LimitAccount, tuple[ThresholdEvent, ...]]:
    if limit.kind is LimitKind.ROLLING:
        _change_rolling(unit, limit=limit, account=account, change=change, now=now)
    account = replace(account, settled=bounded(account.settled + change))
    crossed, highest = passed_thresholds(unit, limit=limit, account=account, now=now)
    return replace(account, threshold=highest), crossed


def _change_rolling(
    unit: UnitOfWork, *, limit: LimitInForce, account: LimitAccount, change: int, now: datetime
) -> None:
    """Books more use now; takes less from what ages first, so that no bucket frees too much."""
    if change > 0:
        book_rolling(unit, limit=limit, key=account.key, amount=change, latest_use=None, now=now)
        return
    since = rolling_since(limit, now=now)
    unit.limits.take_rolling(account.key, since=since, amount=-change)
