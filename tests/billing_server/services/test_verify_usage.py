"""A check finds what differs from the stored events, and mends it. On both databases."""

import pytest
from sqlalchemy import text

from billing_server.services import verify_charges
from billing_server.services import verify_usage as module
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import (
    AdjustmentRequest,
    adjust_usage,
    amend_usage,
    void_usage,
)
from billing_server.services.move_clock import advance_clock
from billing_server.services.verify_usage import VerifyMode, verify_usage
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

NAMES = ("tokens", "calls", "peak", "seats", "rating", "gb")
CATALOG = METERS.replace(
    'meter: tokens, model: per_unit, unit_price: "0.01"',
    'meter: tokens, model: percentage, rate: "0.01", fixed_per_event: "0.30", group_by: [user]',
)


@pytest.fixture
def context(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> ServiceContext:
    monkeypatch.setattr(module, "WINDOW_EVENTS", 3)  # Many windows.
    monkeypatch.setattr(verify_charges, "CUSTOMERS_TOGETHER", 1)
    context = make_context(store, start=START)
    apply(context, CATALOG)
    apply(context, "customers: [{id: other}]")
    sender = Sender(context)
    for number in range(12):
        at = f"2026-04-10T12:{number % 5:02}:{number:02}Z"
        quantities = dict.fromkeys(NAMES, str(number + 1)) | {"rating": f"{number}.5"}
        sender.send(quantities, at=at, event_id=f"e{number:02}", user=f"u{number % 3}")
    sender.send({"calls": "1"}, at="2026-04-10T12:00:00Z", customer="other")
    sender.send({"unknown": "1"}, at="2026-04-10T12:00:00Z")
    void_usage(context, event_id="e03")
    amend_usage(context, event_id="e07", quantities={"tokens": "4.25", "gb": "9"})
    advance_clock(context, to=parse_instant("2026-04-11T00:00:00Z"))
    for meter in ("calls", "gb"):
        request = AdjustmentRequest(
            customer_id="acme",
            meter_key=meter,
            quantity="-2",
            reason="why",
            event_time=parse_instant("2026-04-10T12:02:00Z"),
        )
        adjust_usage(context, request=request)
    # Behind all others: a rating by event goes on from here.
    sender.send({"tokens": "5"}, at="2026-04-10T12:09:00Z", event_id="e99", user="u0")
    return context


def test_what_ingest_and_corrections_made_equals_a_count_from_the_events(
    context: ServiceContext,
) -> None:
    seen: list[int] = []
    report = verify_usage(context.store, on_progress=seen.append)
    assert report.differences == []
    assert report.event_count == 14
    # Tokens as a whole and of three users, and five other prices; a level has no running charge.
    assert report.charge_count == 9
    assert seen == sorted(seen)
    assert len(seen) > 3


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE usage_bucket SET value = value + 1 WHERE event_count > 0",
        "UPDATE usage_bucket SET event_count = event_count + 1",
        "UPDATE usage_bucket SET last_event_id = 'x' WHERE last_event_id IS NOT NULL",
        "DELETE FROM usage_bucket",
        "INSERT INTO usage_bucket SELECT minute + 700, customer_id, series_id, value, event_count, "
        "last_time, last_event_id FROM usage_bucket",
        "UPDATE usage_bucket SET value = 1000000000000000 WHERE last_time IS NULL",
        "UPDATE usage_bucket SET customer_id = 'other' WHERE customer_id = 'acme'",
        "UPDATE usage_bucket SET customer_id = 'nobody' WHERE customer_id = 'acme'",
        "UPDATE usage_bucket SET series_id = series_id + 1000",
        "UPDATE usage_reading SET value = value + 1",
        "DELETE FROM usage_reading",
        "UPDATE running_charge SET amount_minor = amount_minor + 1",
        "UPDATE charge_event_state SET state = replace(state, 'included_left', 'left')",
        "DELETE FROM running_charge",
    ],
)
def test_damage_is_told_and_repaired(context: ServiceContext, damage: str) -> None:
    with context.store.write() as unit:
        unit.connection.execute(text(damage))  # type: ignore[attr-defined]
    found = verify_usage(context.store)
    assert found.difference_count > 0
    assert found.repaired_count == 0
    assert verify_usage(context.store).difference_count == found.difference_count
    repaired = verify_usage(context.store, mode=VerifyMode.REPAIR)
    assert repaired.repaired_count > 0
    assert verify_usage(context.store).differences == []


def test_usage_that_is_void_altogether_has_no_difference(memory_store: SqlStore) -> None:
    context = make_context(memory_store, start=START)
    apply(context, CATALOG)
    Sender(context).send({"calls": "1"}, at="2026-04-10T12:00:00Z", event_id="e")
    void_usage(context, event_id="e")
    assert verify_usage(memory_store).differences == []


def test_an_empty_database_has_no_difference(store: SqlStore) -> None:
    report = verify_usage(store)
    assert (report.event_count, report.bucket_count, report.charge_count) == (0, 0, 0)
    assert report.differences == []
