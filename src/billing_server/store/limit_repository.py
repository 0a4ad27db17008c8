"""Accounts of limits, thresholds and balances in the database."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select, tuple_

from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.limit.shares import FreeBucket, RateShare
from billing_server.domain.limit.thresholds import ThresholdDirection
from billing_server.domain.ports.limits import (
    BalanceEntry,
    LimitAccount,
    LimitTotal,
    ThresholdEvent,
)
from billing_server.store.chunks import chunks
from billing_server.store.tables import (
    allowance_use,
    balance_entry,
    limit_account,
    limit_bucket,
    running_charge,
    threshold_event,
)
from billing_server.store.upsert import conflict_insert
from metering.money import exact_context

_COUNTERS = (
    "settled",
    "unreserved",
    "overrun",
    "estimate_error",
    "released",
    "maximum_granted",
    "threshold",
)


class SqlLimitRepository:
    """Implements the port of limits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def missing_accounts(self, keys: Collection[WindowKey]) -> frozenset[WindowKey]:
        """Returns those keys that have no account yet; holds nothing."""
        columns = limit_account.c
        name = tuple_(columns.customer_id, columns.limit_key, columns.window_id)
        missing = set(keys)
        for some in chunks(sorted(missing)):
            statement = select(columns.customer_id, columns.limit_key, columns.window_id)
            found = self._connection.execute(statement.where(name.in_(some)))
            missing -= {WindowKey(*row) for row in found}
        return frozenset(missing)

    def find_accounts(self, keys: Collection[WindowKey]) -> dict[WindowKey, LimitAccount]:
        """Returns those accounts that exist; holds nothing."""
        return self._accounts(keys, lambda statement: statement)

    def lock_accounts(self, keys: Collection[WindowKey]) -> dict[WindowKey, LimitAccount]:
        """Holds accounts in sorted order until the end of the unit; returns those that exist."""
        return self._accounts(keys, lambda statement: statement.with_for_update())

    def _accounts(
        self, keys: Collection[WindowKey], held: Callable[[Select[Any]], Select[Any]]
    ) -> dict[WindowKey, LimitAccount]:
        columns = limit_account.c
        name = tuple_(columns.customer_id, columns.limit_key, columns.window_id)
        found: dict[WindowKey, LimitAccount] = {}
        for some in chunks(sorted(set(keys))):
            statement = (
                select(limit_account)
                .where(name.in_(some))
                .order_by(columns.customer_id, columns.limit_key, columns.window_id)
            )
            for row in self._connection.execute(held(statement)):
                account = _account_from_row(row)
                found[account.key] = account
        return found

    def add_account(self, account: LimitAccount) -> None:
        """Writes a new account; one that is there already is left as it is."""
        statement = conflict_insert(self._connection, limit_account).values(
            **account.key._asdict(),
            window_start=account.start,
            window_end=account.end,
            **_account_to_row(account),
        )
        self._connection.execute(statement.on_conflict_do_nothing())

    def put_accounts(self, accounts: Sequence[LimitAccount]) -> None:
        """Writes held accounts over what is there."""
        columns = limit_account.c
        for account in accounts:
            self._connection.execute(
                limit_account.update()
                .where(
                    columns.customer_id == account.key.customer_id,
                    columns.limit_key == account.key.limit_key,
                    columns.window_id == account.key.window_id,
                )
                .values(**_account_to_row(account))
            )

    def accounts(self, customer_id: str) -> tuple[LimitAccount, ...]:
        """Returns every account of a customer, by limit and window; holds nothing."""
        columns = limit_account.c
        statement = (
            limit_account.select()
            .where(columns.customer_id == customer_id)
            .order_by(columns.limit_key, columns.window_id)
        )
        return tuple(_account_from_row(row) for row in self._connection.execute(statement))

    def totals(self, *, running_at: datetime) -> tuple[LimitTotal, ...]:
        """Returns the sums of windows that run at an instant, by limit key."""
        columns = limit_account.c
        sums = [
            func.sum(each)
            for each in (
                columns.settled,
                columns.unreserved,
                columns.overrun,
                columns.estimate_error,
                columns.released,
            )
        ]
        statement = (
            select(columns.limit_key, *sums)
            .where(or_(columns.window_end.is_(None), columns.window_end > running_at))
            .group_by(columns.limit_key)
            .order_by(columns.limit_key)
        )
        return tuple(
            LimitTotal(
                limit_key=row[0],
                settled=int(row[1]),
                unreserved=int(row[2]),
                overrun=int(row[3]),
                money_estimate_error=int(row[4]),
                released=int(row[5]),
            )
            for row in self._connection.execute(statement)
        )

    def add_rolling(self, key: WindowKey, *, bucket: datetime, amount: int) -> None:
        """Books use of a rolling window in a bucket of it."""
        statement = conflict_insert(self._connection, limit_bucket).values(
            **key._asdict(), bucket=bucket, settled=amount
        )
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["customer_id", "limit_key", "window_id", "bucket"],
                set_={"settled": limit_bucket.c.settled + statement.excluded.settled},
            )
        )

    def rolling_total(self, key: WindowKey, *, since: datetime) -> int:
        """Returns what is booked in buckets from an instant on."""
        columns = limit_bucket.c
        statement = select(func.coalesce(func.sum(columns.settled), 0)).where(
            columns.customer_id == key.customer_id,
            columns.limit_key == key.limit_key,
            columns.window_id == key.window_id,
            columns.bucket >= since,
        )
        return int(self._connection.execute(statement).scalar_one())

    def take_rolling(self, key: WindowKey, *, since: datetime, amount: int) -> None:
        """Takes use out of buckets from an instant on, the oldest first, as far as there is any."""
        columns = limit_bucket.c
        of_window = (
            columns.customer_id == key.customer_id,
            columns.limit_key == key.limit_key,
            columns.window_id == key.window_id,
        )
        rows = self._connection.execute(
            select(columns.bucket, columns.settled)
            .where(*of_window, columns.bucket >= since, columns.settled > 0)
            .order_by(columns.bucket)
        ).all()
        for bucket, settled in rows:
            if amount <= 0:
                return
            part = min(amount, settled)
            amount -= part
            self._connection.execute(
                limit_bucket.update()
                .where(*of_window, columns.bucket == bucket)
                .values(settled=settled - part)
            )

    def purge_rolling(self, *, before: datetime) -> None:
        """Forgets buckets that no window reaches back to."""
        self._connection.execute(limit_bucket.delete().where(limit_bucket.c.bucket < before))

    def add_allowance_use(self, key: WindowKey, *, amounts: Mapping[int, int]) -> None:
        """Adds what offline allowances bore of a window, by disk."""
        rows = [
            {**key._asdict(), "agent_ref": agent_ref, "used": used}
            for agent_ref, used in sorted(amounts.items())
            if used
        ]
        if not rows:
            return
        statement = conflict_insert(self._connection, allowance_use)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["customer_id", "limit_key", "window_id", "agent_ref"],
                set_={"used": allowance_use.c.used + statement.excluded.used},
            ),
            rows,
        )

    def allowance_uses(self, keys: Collection[WindowKey]) -> dict[WindowKey, dict[int, int]]:
        """Returns what offline allowances have borne of windows, by disk."""
        columns = allowance_use.c
        name = tuple_(columns.customer_id, columns.limit_key, columns.window_id)
        found: dict[WindowKey, dict[int, int]] = {}
        for some in chunks(sorted(set(keys))):
            for row in self._connection.execute(allowance_use.select().where(name.in_(some))):
                key = WindowKey(row.customer_id, row.limit_key, row.window_id)
                found.setdefault(key, {})[row.agent_ref] = row.used
        return found

    def move_allowance_use(self, agent_ref: int, *, to_ref: int) -> None:
        """Gives what a disk's allowances bore to the row that stands for it from now on."""
        self._connection.execute(
            allowance_use.update()
            .where(allowance_use.c.agent_ref == agent_ref)
            .values(agent_ref=to_ref)
        )

    def add_threshold_events(self, events: Sequence[ThresholdEvent]) -> None:
        """Writes threshold events."""
        rows = [
            {
                **event.key._asdict(),
                "share": event.share,
                "direction": str(event.direction),
                "used": event.used,
                "maximum": event.maximum,
                "event_time": event.event_time,
            }
            for event in events
        ]
        if rows:
            self._connection.execute(threshold_event.insert(), rows)

    def threshold_events(
        self, *, customer_id: str | None, after: int, limit: int
    ) -> tuple[ThresholdEvent, ...]:
        """Returns threshold events in the order in which they were seen, those after a number."""
        columns = threshold_event.c
        statement = (
            threshold_event.select()
            .where(columns.event_no > after)
            .order_by(columns.event_no)
            .limit(limit)
        )
        if customer_id is not None:
            statement = statement.where(columns.customer_id == customer_id)
        return tuple(_threshold_from_row(row) for row in self._connection.execute(statement))

    def add_balance(self, entry: BalanceEntry) -> bool:
        """Writes an entry of a balance; False where its id is there already."""
        statement = conflict_insert(self._connection, balance_entry).values(**asdict(entry))
        written = statement.on_conflict_do_nothing().returning(balance_entry.c.entry_id)
        return self._connection.execute(written).first() is not None

    def balance_entry(self, entry_id: str) -> BalanceEntry | None:
        """Returns an entry."""
        row = self._connection.execute(
            balance_entry.select().where(balance_entry.c.entry_id == entry_id)
        ).first()
        return None if row is None else BalanceEntry(**row._mapping)

    def balance(self, customer_id: str) -> int | None:
        """Returns the sum of a customer's entries in micro-units; None where there is none."""
        total = self._connection.execute(
            select(func.sum(balance_entry.c.amount)).where(
                balance_entry.c.customer_id == customer_id
            )
        ).scalar_one()
        return None if total is None else int(total)

    def rated_total(
        self, customer_id: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> Decimal:
        """Returns the exact sum of a customer's running charges, in major units."""
        columns = running_charge.c
        statement = select(columns.amount_exact).where(columns.customer_id == customer_id)
        if start is not None:
            statement = statement.where(columns.period_start >= start)
        if end is not None:
            statement = statement.where(columns.period_start < end)
        with exact_context():
            return sum(self._connection.execute(statement).scalars(), Decimal(0))


def _account_to_row(account: LimitAccount) -> dict[str, Any]:
    bucket = account.free_bucket
    return {name: getattr(account, name) for name in _COUNTERS} | {
        "free_tokens": None if bucket is None else bucket.tokens,
        "free_rate": None if bucket is None else bucket.size.rate_per_minute,
        "free_burst": None if bucket is None else bucket.size.burst,
        "free_time": None if bucket is None else bucket.time,
    }


def _account_from_row(row: Row[Any]) -> LimitAccount:
    bucket = None
    if row.free_time is not None:
        size = RateShare(row.free_rate, row.free_burst)
        bucket = FreeBucket(row.free_tokens, size, row.free_time)
    return LimitAccount(
        free_bucket=bucket,
        key=WindowKey(row.customer_id, row.limit_key, row.window_id),
        start=row.window_start,
        end=row.window_end,
        **{name: getattr(row, name) for name in _COUNTERS},
    )


def _threshold_from_row(row: Row[Any]) -> ThresholdEvent:
    return ThresholdEvent(
        key=WindowKey(row.customer_id, row.limit_key, row.window_id),
        share=row.share,
        direction=ThresholdDirection(row.direction),
        used=row.used,
        maximum=row.maximum,
        event_time=row.event_time,
        event_no=row.event_no,
    )
