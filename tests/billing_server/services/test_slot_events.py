"""Events behind a charge are rated in the order (event_time, event_id). On both databases."""

import random
from decimal import Decimal

import pytest

from billing_server.domain.ports.usage import ChargeKey, ReadingRow
from billing_server.services import slot_events as module
from billing_server.services.correct_usage import AdjustmentRequest, adjust_usage, void_usage
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.slot_events import events_of_charges
from billing_server.services.verify_usage import verify_usage
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.period import Period
from tests.billing_server.ingest_world import METERS, START, IngestWorld
from tests.billing_server.world import Usage, apply, make_context

MARCH = Period(START, START.replace(month=4))
START_US = int(START.replace(month=2).timestamp()) * 1_000_000
CATALOG = """
meters: [{key: paid, aggregation: sum, decimals: 2}]
plans:
  - key: p
    currency: USD
    anchor: calendar
    prices:
      - {key: paid, kind: usage, meter: paid, model: percentage, rate: "0.013", included: "30",
         fixed_per_event: "2", free_amount: "250", maximum_per_event: "5",
         group_by: {dimensions: [shop], tiers: per_group}}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: p, start: 2026-02-01T00:00:00Z}]
"""


def test_a_price_that_needs_no_events_has_none(store: SqlStore) -> None:
    IngestWorld(store)
    with store.write() as unit:
        key = ("acme", "input_tokens", "{}")
        number = unit.usage.series_ids([key])[key]
        start_us = int(START.timestamp()) * 1_000_000
        unit.usage.add_readings([ReadingRow("acme", number, start_us, "e", 5, 0, None)])
        terms = load_customer_terms(unit, customer_id="acme")
        found = events_of_charges(
            unit, "acme", assigner=terms.assigner, meter=METERS[0], span=MARCH
        )
    assert found == {}


@pytest.fixture
def usage(store: SqlStore) -> Usage:
    context = make_context(store, start="2026-02-27T00:00:00Z")
    apply(context, CATALOG)
    return Usage(context)


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tells which events were read behind, of which charges; `all` where it was from the first."""
    seen: list[str] = []
    read = module._events_behind

    def noted(unit, *, slot, place):  # type: ignore[no-untyped-def]
        seen.append("all" if place is None else place[1])
        return read(unit, slot=slot, place=place)

    monkeypatch.setattr(module, "_events_behind", noted)
    return seen


def send(usage: Usage, value: str, *, day: int, event_id: str, shop: str = "a") -> None:
    usage.send(
        value,
        at=f"2026-02-{day:02}T00:00:00Z",
        meter="paid",
        event_id=event_id,
        dimensions={"shop": shop},
    )


def charges(usage: Usage) -> dict[str, tuple[int, Decimal]]:
    with usage.context.store.read() as unit:
        found = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=START.replace(month=2)
        )
    return {each.group_key: (each.quantity, each.amount_exact) for each in found}


def test_r31_events_that_come_in_their_order_are_rated_from_where_it_stopped(
    usage: Usage, anew: list[str]
) -> None:
    # 20 of the first 50 are charged and free, as are 100 and 130 of 250: 120 × 0.013 + 2 = 3.56,
    # and 400 × 0.013 + 2 = 7.20 is held at 5.
    for day, value in enumerate(("50", "100", "250", "400"), start=1):
        send(usage, value, day=day, event_id=f"e{day}")
    send(usage, "290", day=5, event_id="other", shop="b")
    assert anew == ["all", "all"]  # The first one of each shop.
    assert charges(usage) == {
        '{"shop":"a"}': (80_000, Decimal("8.56")),
        # 30 included and 250 free of 290.
        '{"shop":"b"}': (29_000, Decimal("2.13")),
    }
    assert verify_usage(usage.context.store).differences == []


def test_r31_an_event_that_comes_before_others_lets_all_be_rated_anew(
    usage: Usage, anew: list[str]
) -> None:
    for day, event_id in ((5, "x"), (7, "y"), (5, "w"), (8, "z"), (5, "v")):
        send(usage, "300", day=day, event_id=event_id)
    assert anew == ["all"] * 3  # The first one, and those before others.
    assert verify_usage(usage.context.store).differences == []


def test_r31_events_a_little_out_of_order_are_rated_from_a_stop_before_them(
    usage: Usage, anew: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_BETWEEN_MARKS", 3)
    for day in range(1, 13):  # Marks behind e03, e06, e09 and e12; the last two are kept.
        send(usage, "300", day=day, event_id=f"e{day:02}")
    anew.clear()
    send(usage, "200", day=11, event_id="late")
    assert anew == ["e11"]  # Behind the batch before the last one.
    send(usage, "200", day=10, event_id="later")
    assert anew == ["e11", "e10"]
    send(usage, "200", day=9, event_id="yet-later")
    assert anew == ["e11", "e10", "e09"]
    send(usage, "200", day=2, event_id="very-late")
    assert anew == ["e11", "e10", "e09", "all"]
    send(usage, "300", day=13, event_id="e13")
    assert len(anew) == 4
    assert verify_usage(usage.context.store).differences == []


def test_a_state_that_does_not_go_with_its_charge_is_not_gone_on_from(
    usage: Usage, anew: list[str]
) -> None:
    """An earlier version beside this one counts, and knows of no state."""
    send(usage, "300", day=1, event_id="e1")
    with usage.context.store.write() as unit:
        unit.connection.exec_driver_sql(  # type: ignore[attr-defined]
            "UPDATE running_charge SET quantity = '1'"
        )
    send(usage, "300", day=2, event_id="e2")
    assert anew == ["all", "all"]
    assert verify_usage(usage.context.store).differences == []


@pytest.mark.parametrize("state", ["", "[]", "[[1]]", '[[[1,30000,"{}"]],[]]'])
def test_a_damaged_state_is_told_and_not_gone_on_from(
    usage: Usage, anew: list[str], state: str
) -> None:
    send(usage, "300", day=1, event_id="e1")
    with usage.context.store.write() as unit:
        key = ChargeKey("acme", "sub-1", START_US, "paid", 0, '{"shop":"a"}')
        unit.usage_facts.put_event_states({key: state})
    assert verify_usage(usage.context.store).difference_count == 1
    send(usage, "300", day=2, event_id="e2")
    assert anew == ["all", "all"]
    assert verify_usage(usage.context.store).differences == []


def test_an_adjustment_pays_the_share_and_no_fee(usage: Usage) -> None:
    send(usage, "300", day=1, event_id="e1")
    # 300 − 30 included − 250 free = 20: 20 × 0.013 + 2; then 100 × 0.013 more.
    assert charges(usage) == {'{"shop":"a"}': (30_000, Decimal("2.26"))}
    request = AdjustmentRequest(
        customer_id="acme",
        meter_key="paid",
        quantity="100",
        reason="why",
        event_time=parse_instant("2026-02-02T00:00:00Z"),
        dimensions={"shop": "a"},
    )
    adjust_usage(usage.context, request=request)
    assert charges(usage) == {'{"shop":"a"}': (40_000, Decimal("3.56"))}
    send(usage, "10", day=3, event_id="e2")
    assert charges(usage) == {'{"shop":"a"}': (41_000, Decimal("5.69"))}
    assert verify_usage(usage.context.store).differences == []


def test_after_a_correction_all_are_rated_anew_once(usage: Usage, anew: list[str]) -> None:
    for day in range(1, 4):
        send(usage, "300", day=day, event_id=f"e{day}")
    void_usage(usage.context, event_id="e2")
    anew.clear()
    for day in range(4, 7):
        send(usage, "300", day=day, event_id=f"e{day}")
    assert anew == ["all"]
    assert verify_usage(usage.context.store).differences == []


def test_whatever_the_order_charges_are_those_of_a_rebuild(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_BETWEEN_MARKS", 2)
    context = make_context(memory_store, start="2026-02-28T00:00:00Z")
    apply(context, CATALOG)
    usage, source = Usage(context), random.Random(3)
    days = sorted(source.choices(range(1, 28), k=30))
    for position in range(0, 30, 7):  # Nearly in order.
        source.shuffle(days[position : position + 2])
    for number, day in enumerate(days):
        shop = source.choice("ab")
        value = f"{source.randrange(40_000) / 100:.2f}"
        send(usage, value, day=day, event_id=f"e{source.randrange(99)}-{number}", shop=shop)
    assert verify_usage(memory_store).differences == []
