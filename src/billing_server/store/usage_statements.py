"""What is asked of one customer's usage, as statements that are made once.

Building such a statement costs more than running it on a customer with little usage.
"""

from typing import Any, Final

from sqlalchemy import BindParameter, Select, Subquery, bindparam, func, literal_column, select

from billing_server.store.tables import running_charge, subscription, usage_bucket, usage_series

HIGH_BITS: Final = 32
"""Values are summed in two halves of 32 bits, so that no sum over any number of rows overflows."""

_customer: BindParameter[str] = bindparam("of_customer")
_minute = usage_bucket.c.minute

_folded = (
    select(
        usage_bucket.c.series_id,
        func.sum(usage_bucket.c.value.op(">>")(literal_column(str(HIGH_BITS)))).label("high"),
        func.sum(usage_bucket.c.value.op("&")(literal_column(str((1 << HIGH_BITS) - 1)))).label(
            "low"
        ),
        func.max(usage_bucket.c.value).label("largest"),
        func.sum(usage_bucket.c.event_count).label("event_count"),
        func.max(usage_bucket.c.last_time).label("last_time"),
    )
    .where(
        usage_bucket.c.customer_id == _customer,
        _minute >= bindparam("start"),
        _minute < bindparam("end"),
    )
    .group_by(usage_bucket.c.series_id)
)


def _named(folded: Subquery) -> Select[Any]:
    """Returns the folds with what their series are."""
    return (
        select(
            folded.c.series_id,
            usage_series.c.meter_key,
            usage_series.c.dimensions,
            folded.c.high,
            folded.c.low,
            folded.c.largest,
            folded.c.event_count,
            folded.c.last_time,
        )
        .join(usage_series, usage_series.c.series_id == folded.c.series_id)
        .where(usage_series.c.customer_id == _customer)
        .order_by(usage_series.c.meter_key, usage_series.c.dimensions)
    )


FOLD: Final = _named(_folded.subquery("folded"))
"""Folds `of_customer` over [start, end) by series; only then each series is looked up."""

FOLD_METER: Final = _named(
    _folded.where(
        usage_bucket.c.series_id.in_(
            select(usage_series.c.series_id).where(
                usage_series.c.customer_id == _customer,
                usage_series.c.meter_key == bindparam("of_meter"),
            )
        )
    ).subquery("folded")
)
"""The same of one meter, `of_meter`."""

# Two look-ups at the ends of an index; asked together they would read all between.
SPAN: Final = select(
    select(func.min(_minute)).where(usage_bucket.c.customer_id == _customer).scalar_subquery(),
    select(func.max(_minute)).where(usage_bucket.c.customer_id == _customer).scalar_subquery(),
)
"""The first and the last minute with usage of `of_customer`."""

FAILED: Final = select(subscription.c.id, subscription.c.rating_failed_reason).where(
    subscription.c.customer_id == _customer, subscription.c.rating_failed_reason.is_not(None)
)
"""The subscriptions of `of_customer` whose rating failed."""

RUNNING_CHARGES: Final = (
    select(
        running_charge.c.subscription_id,
        running_charge.c.period_start,
        running_charge.c.price_key,
        running_charge.c.segment,
        running_charge.c.quantity,
        running_charge.c.amount_exact,
        running_charge.c.amount_minor,
        running_charge.c.group_key,
        running_charge.c.value_count,
    )
    .where(
        running_charge.c.customer_id == _customer,
        running_charge.c.subscription_id == bindparam("of_subscription"),
        running_charge.c.period_start == bindparam("of_period"),
    )
    .order_by(running_charge.c.price_key, running_charge.c.segment, running_charge.c.group_key)
)
"""The running charges of one period, in the order of RunningCharge's fields."""
