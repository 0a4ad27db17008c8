"""Usage of a window, grouped by dimensions."""

import pytest

from billing_server.services import query_usage as module
from billing_server.services.query_usage import UsageQuery, query_usage
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import NotFoundError, ValidationError
from metering.quantity import plain_decimal
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def _query(**changes: object) -> UsageQuery:
    values: dict[str, object] = {
        "customer_id": "acme",
        "meter_key": "tokens",
        "start": parse_instant("2026-02-01T00:00:00Z"),
        "end": parse_instant("2026-02-02T00:00:00Z"),
    }
    return UsageQuery(**{**values, **changes})  # type: ignore[arg-type]


def test_usage_of_a_window_is_grouped_and_filtered_by_dimensions(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    for tokens, at, dimensions in (
        ("1", "2026-01-31T23:59:59Z", {"model": "large"}),
        ("10", "2026-02-01T00:00:00Z", {"model": "large", "region": "eu"}),
        ("200", "2026-02-01T12:00:00Z", {"model": "large", "region": "us"}),
        ("3000", "2026-02-01T23:59:59Z", {"model": "small"}),
        ("40000", "2026-02-02T00:00:00Z", {"model": "small"}),
    ):
        usage.send(tokens, at=at, dimensions=dimensions)

    def answer(**changes: object) -> list[tuple[dict[str, str], str, int]]:
        found = query_usage(context, query=_query(**changes))
        return [
            (group.dimensions, plain_decimal(group.quantity), group.event_count)
            for group in found.groups
        ]

    assert answer() == [({}, "3210", 3)]
    assert answer(group_by=("model",)) == [
        ({"model": "large"}, "210", 2),
        ({"model": "small"}, "3000", 1),
    ]
    assert answer(group_by=("region",), where={"model": "large"}) == [
        ({"region": "eu"}, "10", 1),
        ({"region": "us"}, "200", 1),
    ]


def test_an_unknown_customer_or_meter_is_told(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    with pytest.raises(NotFoundError, match="nobody"):
        query_usage(context, query=_query(customer_id="nobody"))
    with pytest.raises(NotFoundError, match="nothing"):
        query_usage(context, query=_query(meter_key="nothing"))


def test_too_many_groups_are_refused(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    for number in range(3):
        usage.send("1", at="2026-02-01T00:00:00Z", dimensions={"user": str(number)})
    monkeypatch.setattr(module, "GROUPS_MAX", 2)
    with pytest.raises(ValidationError, match="3 groups"):
        query_usage(context, query=_query(group_by=("user",)))


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("2026-02-01T00:00:01Z", "2026-02-02T00:00:00Z", "WINDOW_NOT_ON_MINUTE"),
        ("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", "WINDOW_EMPTY"),
    ],
)
def test_a_window_that_cannot_be_answered_exactly_is_refused(
    start: str, end: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        _query(start=parse_instant(start), end=parse_instant(end))
    assert refused.value.reason == reason
