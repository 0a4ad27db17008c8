"""Which meters an event feeds."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.usage.meter_index import MeterIndex, Quarantine, meter_effects

METERS = [
    Meter(key="tokens", quantity="tokens"),
    Meter(key="large_tokens", quantity="tokens", where={"model": "large"}),
    Meter(key="gpu_seconds", quantity="gpu_seconds", decimals=6),
    Meter(key="calls", quantity="calls", aggregation=Aggregation.COUNT),
    Meter(key="seats", quantity="seats", aggregation=Aggregation.MAX),
]
INDEX = MeterIndex(METERS)
USERS = Meter(key="users", quantity="", aggregation=Aggregation.UNIQUE_COUNT, of="user_id")


def effects(quantities: Mapping[str, str], **dimensions: str) -> list[tuple[str, int]]:
    found = INDEX.effects(quantities, dimensions=dimensions)
    assert not isinstance(found, Quarantine)
    return [(meter.key, value) for meter, value in found]


def reason(quantities: Mapping[str, str]) -> str:
    found = INDEX.effects(quantities, dimensions={})
    assert isinstance(found, Quarantine)
    return found.reason


def test_a_quantity_feeds_every_meter_that_reads_it_and_matches() -> None:
    assert effects({"tokens": "1200"}) == [("tokens", 1200)]
    assert effects({"tokens": "1200"}, model="large") == [
        ("tokens", 1200),
        ("large_tokens", 1200),
    ]


def test_values_are_scaled_by_the_decimals_of_the_meter() -> None:
    assert effects({"gpu_seconds": "0.35"}) == [("gpu_seconds", 350000)]
    assert effects({"gpu_seconds": "7"}) == [("gpu_seconds", 7_000_000)]
    assert effects({"seats": "3.0"}) == [("seats", 3)]


def test_a_count_counts_the_events_that_carry_its_quantity() -> None:
    assert effects({"calls": "17"}) == [("calls", 1)]
    assert effects({"calls": "0.5"}) == [("calls", 1)]
    assert effects({"calls": "123456789012345678"}) == [("calls", 1)]


def test_a_zero_is_an_effect_too() -> None:
    assert effects({"tokens": "0"}) == [("tokens", 0)]


def test_r20_a_quantity_that_no_meter_reads_keeps_the_whole_event_waiting() -> None:
    found = INDEX.effects({"tokens": "5", "images": "1"}, dimensions={})
    assert isinstance(found, Quarantine)
    assert found.reason == "METER_UNKNOWN"
    assert "quantities.images" in found.message


def test_a_quantity_whose_meters_ask_for_other_dimensions_adds_nothing() -> None:
    index = MeterIndex([METERS[1]])
    assert index.effects({"tokens": "5"}, dimensions={"model": "small"}) == []


@pytest.mark.parametrize(
    ("quantities", "wanted"),
    [
        ({"tokens": "1.5"}, "QUANTITY_TOO_PRECISE"),
        ({"gpu_seconds": "0.0000001"}, "QUANTITY_TOO_PRECISE"),
        # 13 digits and six decimals make 19 digits in the table.
        ({"gpu_seconds": "1234567890123"}, "QUANTITY_TOO_LARGE"),
        ({"tokens": "1234567890123456789"}, "QUANTITY_TOO_LARGE"),
        ({"tokens": "-1"}, "QUANTITY_NEGATIVE"),
        ({"tokens": "1e3"}, "QUANTITY_MALFORMED"),
        ({"tokens": ""}, "QUANTITY_MALFORMED"),
        ({"tokens": "NaN"}, "QUANTITY_MALFORMED"),
        ({"calls": "many"}, "QUANTITY_MALFORMED"),
        # Digits of other scripts are digits to Python and not to us.
        ({"tokens": "٣"}, "QUANTITY_MALFORMED"),
    ],
)
def test_what_cannot_be_counted_exactly_waits_with_a_reason(
    quantities: Mapping[str, str], wanted: str
) -> None:
    assert reason(quantities) == wanted


def test_idle_zeros_are_no_precision_and_no_size() -> None:
    assert effects({"tokens": "5.000000000"}) == [("tokens", 5)]
    assert effects({"tokens": "0000000000000000000007"}) == [("tokens", 7)]


def test_a_single_event_needs_no_index() -> None:
    found = meter_effects({"tokens": "2"}, dimensions={}, meters=METERS[:1])
    assert found == [(METERS[0], 2)]


def test_a_unique_count_takes_one_from_each_event_that_carries_its_dimension() -> None:
    index = MeterIndex([*METERS, USERS])
    with_user = index.effects({"tokens": "5"}, dimensions={"user_id": "u1"})
    assert with_user == [(METERS[0], 5), (USERS, 1)]
    assert index.effects({"tokens": "5"}, dimensions={}) == [(METERS[0], 5)]
    assert index.effects({"tokens": "5"}, dimensions={"user_id": ""}) == [(METERS[0], 5)]


def test_r20_an_event_without_quantities_counts_where_a_unique_count_looks_at_it() -> None:
    in_europe = replace(USERS, where={"region": "eu"})
    index = MeterIndex([*METERS, in_europe])
    assert index.effects({}, dimensions={"user_id": "u1", "region": "eu"}) == [(in_europe, 1)]
    # The meter has looked at it, and it is none of its region: there is nothing to wait for.
    assert index.effects({}, dimensions={"user_id": "u1", "region": "us"}) == []
    for unseen in ({}, {"region": "eu"}, {"user_id": ""}):
        found = index.effects({}, dimensions=unseen)
        assert isinstance(found, Quarantine)
        assert found.reason == "METER_UNKNOWN"


def test_a_unique_count_of_a_quantity_looks_only_at_events_that_carry_it() -> None:
    callers = Meter(
        key="callers",
        quantity="calls",
        aggregation=Aggregation.UNIQUE_COUNT,
        of="user_id",
        where={"region": "eu"},
    )
    index = MeterIndex([METERS[0], callers])
    dimensions = {"user_id": "u1", "region": "eu"}
    assert index.effects({"calls": "7"}, dimensions=dimensions) == [(callers, 1)]
    assert index.effects({"tokens": "7"}, dimensions=dimensions) == [(METERS[0], 7)]
    assert index.effects({"calls": "7"}, dimensions={"region": "eu"}) == []
    assert index.effects({"calls": "7"}, dimensions={"user_id": "u1", "region": "us"}) == []


def test_a_quantity_that_a_price_reads_as_money_needs_no_meter() -> None:
    index = MeterIndex(METERS, money_quantities={"provider_cost"})
    found = index.effects({"tokens": "5", "provider_cost": "0.0021"}, dimensions={})
    assert found == [(METERS[0], 5)]
    wrong = index.effects({"tokens": "5", "provider_cost": "cheap"}, dimensions={})
    assert isinstance(wrong, Quarantine)
    assert wrong.reason == "QUANTITY_MALFORMED"
