"""Accounts of limit windows: opened with what was used before, and what is left in them."""

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.in_force import LIMITED_UNITS_MAX, LimitInForce
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.limit.rolling import booking_bucket, counted_since
from billing_server.domain.limit.spans import LimitSpan
from billing_server.domain.limit.thresholds import crossings
from billing_server.domain.ports.limits import LimitAccount, ThresholdEvent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from metering.clock import floor_to_minute
from metering.limits import MONEY_DECIMALS, LimitKind

_MINUTE = timedelta(minutes=1)


class Window(NamedTuple):
    """One window of a limit that holds for a customer."""

    limit: LimitInForce
    span: LimitSpan

    @property
    def key(self) -> WindowKey:
        """Names its account."""
        return WindowKey(self.limit.customer_id, self.limit.key, self.span.window_id)

    def following(self) -> "Window | None":
        """Returns the window after this one; None where it never ends."""
        return None if self.span.end is None else window_at(self.limit, at=self.span.end)


def window_at(limit: LimitInForce, *, at: datetime) -> Window:
    """Returns the window of a limit that holds an instant."""
    return Window(limit, limit.span_at(at))


def open_missing_accounts(unit: UnitOfWork, *, windows: Collection[Window], now: datetime) -> None:
    """Opens the accounts that are not there yet, holding their customers.

    Called before any account is held: locks are taken in the order customers, accounts.
    """
    by_key = {window.key: window for window in windows}
    missing = unit.limits.missing_accounts(by_key)
    if not missing:
        return
    unit.customers.lock(sorted({key.customer_id for key in missing}))
    for key in sorted(missing):
        open_account(unit, window=by_key[key], now=now)


def open_account(unit: UnitOfWork, *, window: Window, now: datetime) -> LimitAccount:
    """Opens the account of a window with what was used in it before (R92).

    The customer is held: nothing is counted meanwhile.
    """
    limit, span = window
    settled = _used_before(unit, window=window, now=now)
    account = LimitAccount(key=window.key, start=span.start, end=span.end, settled=settled)
    unit.limits.add_account(account)
    if limit.kind is LimitKind.ROLLING and settled:
        book_rolling(unit, limit=limit, key=window.key, amount=settled, latest_use=None, now=now)
    return account


def book_rolling(
    unit: UnitOfWork,
    *,
    limit: LimitInForce,
    key: WindowKey,
    amount: int,
    latest_use: datetime | None,
    now: datetime,
) -> None:
    """Books use of a rolling window.

    Args:
        unit: the transaction.
        limit: a rolling one.
        key: of its account.
        amount: in the smallest unit.
        latest_use: when its lease could be spent last; None: it had none.
        now: the time.
    """
    length = limit.limit.window.length or _MINUTE
    bucket = booking_bucket(latest_use=latest_use, received=now, window=length)
    unit.limits.add_rolling(key, bucket=bucket, amount=amount)


def settled_in(
    unit: UnitOfWork, *, limit: LimitInForce, account: LimitAccount, now: datetime
) -> int:
    """Returns S: what is known to be used of a window."""
    if limit.kind is not LimitKind.ROLLING:
        return account.settled
    return unit.limits.rolling_total(account.key, since=rolling_since(limit, now=now))


def rolling_since(limit: LimitInForce, *, now: datetime) -> datetime:
    """Returns the start of the first bucket that still counts in a rolling window."""
    return counted_since(now, window=limit.limit.window.length or _MINUTE)


def maximum_of(unit: UnitOfWork, *, limit: LimitInForce) -> int:
    """Returns B: the limit in force, which is the money there is for a balance."""
    if not limit.is_balance:
        return limit.maximum
    return max(0, unit.limits.balance(limit.customer_id) or 0)


def passed_thresholds(
    unit: UnitOfWork, *, limit: LimitInForce, account: LimitAccount, now: datetime
) -> tuple[tuple[ThresholdEvent, ...], Decimal | None]:
    """Returns the thresholds that an account has newly passed, and the highest one passed."""
    maximum = maximum_of(unit, limit=limit)
    used = settled_in(unit, limit=limit, account=account, now=now)
    found, highest = crossings(
        limit.limit.thresholds, passed=account.threshold, used=used, maximum=maximum
    )
    events = tuple(
        ThresholdEvent(
            key=account.key,
            share=crossing.share,
            direction=crossing.direction,
            used=used,
            maximum=maximum,
            event_time=now,
        )
        for crossing in found
    )
    return events, highest


def micros(amount: Decimal) -> int:
    """Returns money in micro-units, cut down: differences of it add up to the whole."""
    return int(amount.scaleb(MONEY_DECIMALS).to_integral_value(rounding="ROUND_FLOOR"))


def bounded(amount: int) -> int:
    """Returns a sum that fits the store, whatever was added to it."""
    return max(-LIMITED_UNITS_MAX, min(amount, LIMITED_UNITS_MAX))


def _used_before(unit: UnitOfWork, *, window: Window, now: datetime) -> int:
    limit, span = window
    if limit.kind is LimitKind.MONEY:
        is_period = limit.limit.window.unit is WindowUnit.BILLING_PERIOD
        if not is_period or limit.is_balance:
            return 0
        return micros(unit.limits.rated_total(limit.customer_id, start=span.start, end=span.end))
    if limit.kind not in (LimitKind.UNITS, LimitKind.ROLLING):
        return 0
    return used_of_meter(unit, window=window, now=now)


def used_of_meter(unit: UnitOfWork, *, window: Window, now: datetime) -> int:
    """Returns what was counted in a window of a limit on a meter, from the minute buckets."""
    limit = window.limit
    reach = _reach(unit, window=window, now=now)
    if reach is None:
        return 0
    series = unit.usage.fold_usage(
        limit.customer_id, start=reach[0], end=reach[1], meter_key=limit.limit.meter
    )
    used = sum(
        each.total for each in series if limit.counts(each.meter_key, dimensions=each.dimensions)
    )
    return bounded(used)


def _reach(unit: UnitOfWork, *, window: Window, now: datetime) -> tuple[datetime, datetime] | None:
    """Returns the span of whole minutes whose usage a window counts; None: there is none."""
    span, length = window.span, window.limit.limit.window.length
    if length is not None:
        end = floor_to_minute(now) + _MINUTE
        return end - length, end
    if span.start is not None and span.end is not None:
        return floor_to_minute(span.start), floor_to_minute(span.end)
    used = unit.usage.usage_span(window.limit.customer_id)
    return None if used is None else (used[0], used[1] + _MINUTE)
