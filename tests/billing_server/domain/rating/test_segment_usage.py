"""A plain quantity stands for usage without events and groups."""

from decimal import Decimal

from billing_server.domain.rating.segment_usage import (
    GroupUsage,
    SegmentUsage,
    quantity_used,
    segment_usage,
)


def test_a_quantity_alone_is_usage_without_events_and_groups() -> None:
    assert segment_usage(Decimal(5)) == SegmentUsage(Decimal(5))
    assert quantity_used(Decimal(5)) == 5


def test_usage_with_groups_stays_as_it_is() -> None:
    usage = SegmentUsage(Decimal(5), groups=(GroupUsage({"project": "a"}, Decimal(5)),))
    assert segment_usage(usage) is usage
    assert quantity_used(usage) == 5
