"""Voids, amendments and adjustments are new facts; what came is kept. On both databases."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing_server.domain.ports.usage_facts import CorrectionKind
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import (
    AdjustmentRequest,
    adjust_usage,
    amend_usage,
    void_usage,
)
from billing_server.services.move_clock import advance_clock
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import InvalidStateError, MeteringError, NotFoundError, ValidationError
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

NAMES = ("tokens", "calls", "peak", "seats", "rating", "gb")
NOON = "2026-04-10T12:00:00Z"


def amounts(context: ServiceContext) -> dict[str, str]:
    shown = upcoming_invoice(context, customer_id="acme")
    return {line["price"]: line["amount"] for line in shown["lines"]}


def make(store: SqlStore) -> tuple[ServiceContext, Sender]:
    context = make_context(store, start=START)
    apply(context, METERS)
    return context, Sender(context)


def test_r16_a_void_event_counts_nothing_for_any_aggregation_and_is_kept(store: SqlStore) -> None:
    context, sender = make(store)
    sender.send(dict.fromkeys(NAMES, "6"), at=NOON, event_id="e1", user="u1")
    before = amounts(context)
    sender.send(dict.fromkeys(NAMES, "9"), at=NOON, event_id="e2", user="u2")
    assert amounts(context) != before
    done = void_usage(context, event_id="e2", reason="load test")
    assert (done.version, done.kind, done.customer_id) == (1, CorrectionKind.VOID, "acme")
    assert amounts(context) == before
    with store.write() as unit:
        assert len(unit.usage_facts.events_of_id("e2")) == 1
        booked = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=parse_instant(START)
        )
        rebuild_running_charges(unit, customer_id="acme")
        rebuilt = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=parse_instant(START)
        )
    assert booked == rebuilt
    assert void_usage(context, event_id="e2", reason="again").version == 1


def test_r16_the_newest_amendment_counts(store: SqlStore) -> None:
    context, sender = make(store)
    sender.send({"tokens": "500", "peak": "7"}, at=NOON, event_id="e1")
    amend_usage(context, event_id="e1", quantities={"tokens": "300.50", "peak": "2"})
    assert amounts(context) == {"tokens": "3.01", "peak": "2.00"}
    amend_usage(context, event_id="e1", quantities={"tokens": "100"})
    assert amounts(context) == {"tokens": "1.00"}
    void_usage(context, event_id="e1")
    assert amounts(context) == {}
    assert amend_usage(context, event_id="e1", quantities={"tokens": "2e2".replace("e2", "00")})
    assert amounts(context) == {"tokens": "2.00"}


def test_r18_an_adjustment_below_zero_is_made_up_for_first(store: SqlStore) -> None:
    context, _ = make(store)
    for quantity in ("-3", "4"):
        request = AdjustmentRequest(
            customer_id="acme", meter_key="calls", quantity=quantity, reason="recount"
        )
        adjust_usage(context, request=request)
        shown = amounts(context)
        assert shown == {"calls": "0.00" if quantity == "-3" else "1.00"}


def test_an_adjustment_changes_a_level_until_the_next_event(store: SqlStore) -> None:
    context, sender = make(store)
    sender.send({"gb": "30"}, at=START)
    request = AdjustmentRequest(
        customer_id="acme",
        meter_key="gb",
        quantity="-15",
        reason="disk detached",
        event_time=parse_instant("2026-04-16T00:00:00Z"),
    )
    advance_clock(context, to=parse_instant("2026-04-16T00:00:00Z"))
    adjust_usage(context, request=request)
    sender.send({"gb": "0"}, at="2026-04-28T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-04-30T00:00:00Z"))
    # 30 for 15 days and 15 for 12 of 30.
    assert amounts(context) == {"gb": "21.00"}


def test_r76_a_correction_in_an_invoiced_period_marks_it_late(store: SqlStore) -> None:
    context, sender = make(store)
    sender.send({"tokens": "500"}, at=NOON, event_id="e1")
    advance_clock(context, to=parse_instant("2026-05-01T02:00:00Z"))
    amend_usage(context, event_id="e1", quantities={"tokens": "700"})
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    assert (line["kind"], line["amount"]) == ("late_usage", "2.00")


def test_what_cannot_be_corrected_is_refused_by_reason(store: SqlStore) -> None:
    context, sender = make(store)
    sender.send({"tokens": "5"}, at=NOON, event_id="e1")
    sender.send({"unknown": "5"}, at=NOON, event_id="waits")

    def adjust(meter: str, quantity: str = "1", **changes: Any) -> AdjustmentRequest:
        fields = {"reason": "why", "customer_id": "acme"} | changes
        return AdjustmentRequest(meter_key=meter, quantity=quantity, **fields)

    refusals: list[tuple[object, type[MeteringError], str]] = [
        (lambda: void_usage(context, event_id="no"), NotFoundError, "EVENT_NOT_FOUND"),
        (lambda: void_usage(context, event_id="waits"), InvalidStateError, "EVENT_NOT_COUNTED"),
        (
            lambda: amend_usage(context, event_id="e1", quantities={"no": "1"}),
            ValidationError,
            "METER_UNKNOWN",
        ),
        (
            lambda: amend_usage(context, event_id="e1", quantities={"tokens": "0.001"}),
            ValidationError,
            "QUANTITY_TOO_PRECISE",
        ),
        (
            lambda: amend_usage(context, event_id="e1", quantities={}),
            ValidationError,
            "QUANTITIES_EMPTY",
        ),
        (
            lambda: adjust_usage(context, request=adjust("peak")),
            ValidationError,
            "METER_NOT_ADJUSTABLE",
        ),
        (lambda: adjust_usage(context, request=adjust("no")), NotFoundError, "METER_NOT_FOUND"),
        (
            lambda: adjust_usage(context, request=adjust("calls", customer_id="no")),
            NotFoundError,
            "CUSTOMER_NOT_FOUND",
        ),
        (
            lambda: adjust_usage(context, request=adjust("calls", "--1")),
            ValidationError,
            "QUANTITY_NEGATIVE",
        ),
        (
            lambda: adjust_usage(context, request=adjust("calls", reason=" ")),
            ValidationError,
            "REASON_MISSING",
        ),
        (
            lambda: void_usage(context, event_id="e1", reason="x" * 257),
            ValidationError,
            "REASON_TOO_LONG",
        ),
    ]
    for call, kind, reason in refusals:
        with pytest.raises(kind) as raised:
            call()  # type: ignore[operator]
        assert raised.value.reason == reason


def test_an_id_that_two_customers_used_asks_for_the_customer(store: SqlStore) -> None:
    context, sender = make(store)
    apply(context, "customers: [{id: other}]")
    for customer in ("acme", "other"):
        sender.send({"calls": "1"}, at=NOON, event_id="e1", customer=customer)
    with pytest.raises(ValidationError) as raised:
        void_usage(context, event_id="e1")
    assert raised.value.reason == "EVENT_ID_AMBIGUOUS"
    assert void_usage(context, event_id="e1", customer_id="other").customer_id == "other"
    assert amounts(context) == {"calls": "1.00"}
    with store.read() as unit:
        left = unit.connection.execute(text("SELECT count(*) FROM usage_bucket")).scalar()
    assert left == 1


def test_an_adjustment_changes_something_that_has_happened(memory_store: SqlStore) -> None:
    context, _ = make(memory_store)
    nothing = AdjustmentRequest(
        customer_id="acme", meter_key="calls", quantity="-0.0", reason="typing error"
    )
    with pytest.raises(ValidationError, match="0 changes nothing"):
        adjust_usage(context, request=nothing)
    soon = context.clock.now() + timedelta(minutes=1)
    with pytest.raises(ValidationError, match="is in the future"):
        adjust_usage(context, request=replace(nothing, quantity="1", event_time=soon))
