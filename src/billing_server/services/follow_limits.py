"""Limits follow what is corrected: a voided event no longer counts against its window."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from billing_server.domain.limit.in_force import LimitInForce
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.ports.limits import LimitAccount, ThresholdEvent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.lease_windows import customer_limits
from billing_server.services.limit_accounts import (
    Window,
    bounded,
    micros,
    passed_thresholds,
    used_of_meter,
    window_at,
)
from billing_server.services.limit_book import LimitBook
from metering.limits import LimitKind


@contextmanager
def limits_following(unit: UnitOfWork, *, customer_id: str, now: datetime) -> Iterator[None]:
    """Settles what the block changes of counted usage, in the windows that run.

    Only the difference is booked, so that what leases have settled stays as it is. Use of a rolling
    window is left to age.

    Args:
        unit: the transaction; the customer is held in it.
        customer_id: whose usage is corrected.
        now: the time.
    """
    limits = customer_limits(unit, book=LimitBook(), customer_ids=[customer_id], now=now)
    found = limits.get(customer_id)
    windows = {
        window.key: window
        for window in (
            window_at(limit, at=now)
            for limit in (() if found is None else found.limits)
            if limit.kind in (LimitKind.UNITS, LimitKind.MONEY)
        )
    }
    accounts = unit.limits.lock_accounts(windows)
    before = {key: _counted(unit, window=windows[key], now=now) for key in accounts}
    yield
    changed: list[LimitAccount] = []
    thresholds: list[ThresholdEvent] = []
    for key, account in sorted(accounts.items()):
        change = _counted(unit, window=windows[key], now=now) - before[key]
        if change:
            after, crossed = _changed(
                unit, limit=windows[key].limit, account=account, change=change, now=now
            )
            changed.append(after)
            thresholds += crossed
    unit.limits.put_accounts(changed)
    unit.limits.add_threshold_events(thresholds)
    _wake(unit, changed=[account.key for account in changed])


def _changed(
    unit: UnitOfWork, *, limit: LimitInForce, account: LimitAccount, change: int, now: datetime
) -> tuple[LimitAccount, tuple[ThresholdEvent, ...]]:
    account = replace(account, settled=bounded(account.settled + change))
    crossed, highest = passed_thresholds(unit, limit=limit, account=account, now=now)
    return replace(account, threshold=highest), crossed


def _counted(unit: UnitOfWork, *, window: Window, now: datetime) -> int:
    if window.limit.kind is LimitKind.MONEY:
        return micros(unit.limits.rated_total(window.limit.customer_id))
    return used_of_meter(unit, window=window, now=now)


def _wake(unit: UnitOfWork, *, changed: list[WindowKey]) -> None:
    if changed:
        unit.leases.announce({key.customer_id for key in changed})
