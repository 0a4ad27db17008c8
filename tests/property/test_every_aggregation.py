"""For every aggregation, by event and by group: live = rebuilt = invoiced, however usage came.

Method: random events of one month are sent in random order and batches, some twice, some voided
afterwards. What is shown live at the period's end must be what a naive recount says, in fractions;
a check from the stored events must find no difference; and the invoice must say the same.
"""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.correct_usage import void_usage
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.scenario import UsageStep
from billing_server.services.scenario_usage import ScenarioAgent
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.services.verify_usage import verify_usage
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.clock import parse_instant
from tests.billing_server.world import apply, make_context
from tests.memory_copy import copy_of

START = parse_instant("2026-04-01T00:00:00Z")
END = parse_instant("2026-05-01T00:00:00Z")
MINUTES = 30 * 24 * 60
METERS = ("tokens", "calls", "peak", "seats", "rating", "gb", "paid")
CATALOG = """
meters:
  - {key: tokens, aggregation: sum}
  - {key: calls, aggregation: count}
  - {key: peak, aggregation: max}
  - {key: seats, aggregation: latest}
  - {key: rating, aggregation: average}
  - {key: users, aggregation: unique_count, of: user}
  - {key: gb, aggregation: time_weighted}
  - {key: paid, aggregation: sum}
plans:
  - key: p
    currency: USD
    anchor: calendar
    prices:
      - key: tokens
        kind: usage
        meter: tokens
        group_by: [user]
        model: graduated
        tiers: [{up_to: "20", unit_price: "0.37"}, {unit_price: "0.11", flat_price: "1"}]
      - {key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "0.13"}
      - {key: peak, kind: usage, meter: peak, model: per_unit, unit_price: "0.13"}
      - {key: seats, kind: usage, meter: seats, model: per_unit, unit_price: "0.13"}
      - {key: rating, kind: usage, meter: rating, model: per_unit, unit_price: "0.13"}
      - {key: users, kind: usage, meter: users, model: per_unit, unit_price: "0.13"}
      - {key: gb, kind: usage, meter: gb, model: per_unit, unit_price: "0.13"}
      - {key: paid, kind: usage, meter: paid, model: percentage, rate: "0.05",
         fixed_per_event: "0.10", free_amount: "12"}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: p, start: 2026-04-01T00:00:00Z}]
"""
Event = tuple[int, int, str, str]
"""Minute since the start, value, meter, user."""
EVENTS = st.lists(
    st.tuples(
        st.integers(0, MINUTES - 1) | st.integers(0, 2),  # Some at one minute: the id decides.
        st.integers(0, 30),
        st.sampled_from(METERS),
        st.sampled_from(["u1", "u2"]),
    ),
    max_size=14,
)


def cents(amount: Fraction) -> int:
    return int(amount * 100 + Fraction(1, 2))


def naive(events: dict[int, Event]) -> dict[str, int]:
    """Returns what each price comes to in cents, from the events in their order."""
    of: dict[str, list[Event]] = defaultdict(list)
    for _, event in sorted(events.items(), key=lambda each: (each[1][0], f"e{each[0]:03}")):
        of[event[2]].append(event)
    values = {meter: [Fraction(value) for _, value, *_ in found] for meter, found in of.items()}
    unit = Fraction("0.13")
    found: dict[str, Fraction] = {}
    if "tokens" in of:
        used = sum(values["tokens"])
        first = min(used, Fraction(20))
        rest = used - first
        found["tokens"] = first * Fraction("0.37") + rest * Fraction("0.11") + (rest > 0)
    if "calls" in of:
        found["calls"] = len(of["calls"]) * unit
    if "peak" in of:
        found["peak"] = max(values["peak"]) * unit
    if "seats" in of:
        found["seats"] = values["seats"][-1] * unit
    if "rating" in of:
        found["rating"] = sum(values["rating"]) / len(values["rating"]) * unit
    if events:
        found["users"] = len({user for *_, user in events.values()}) * unit
    if "gb" in of:
        found["gb"] = levels(of["gb"]) * unit
    if "paid" in of:
        free, paid = Fraction(12), Fraction(0)
        for value in values["paid"]:
            charged = max(value - free, Fraction(0))
            is_free = value <= free and free > 0
            free = max(free - value, Fraction(0))
            paid += 0 if is_free else charged * Fraction("0.05") + Fraction("0.10")
        found["paid"] = paid
    return {key: cents(amount) for key, amount in found.items() if cents(amount)}


def levels(events: list[Event]) -> Fraction:
    """Returns each user's level, weighted by the time for which it holds."""
    total = Fraction(0)
    for user in {user for *_, user in events}:
        mine = [(minute, value) for minute, value, _, each in events if each == user]
        ends = [minute for minute, _ in mine[1:]] + [MINUTES]
        total += sum(
            value * (end - minute) for (minute, value), end in zip(mine, ends, strict=True)
        )
    return total / MINUTES


def by_price(lines: list[dict]) -> dict[str, int]:  # type: ignore[type-arg]
    amounts: dict[str, int] = defaultdict(int)
    for line in lines:
        amounts[line["price"]] += int(Decimal(line["amount"]) * 100)
    return {key: amount for key, amount in amounts.items() if amount}


def send(agent: ScenarioAgent, numbered: list[tuple[int, Event]], *, batch: int) -> None:
    for position, (number, (minute, value, meter, user)) in enumerate(numbered, start=1):
        step = UsageStep(
            customer_id="acme",
            event_id=f"e{number:03}",
            quantities={meter: str(value)},
            dimensions={"user": user},
            event_time=START + timedelta(minutes=minute),
            every=None,
            until=None,
        )
        agent.record(step, at=START, repeat=0)
        if position % batch == 0:
            agent.flush()
    agent.flush()


def check(
    store: SqlStore,
    events: list[Event],
    *,
    voided: set[int],
    batch: int,
    order: object,
) -> None:
    context = make_context(store, start="2026-04-01T00:00:00Z")
    agent = ScenarioAgent(context)
    numbered = [*enumerate(events), *enumerate(events[:3])]  # Some come twice.
    order.shuffle(numbered)  # type: ignore[attr-defined]
    send(agent, numbered, batch=batch)
    for number in sorted(voided):
        if number < len(events):
            void_usage(context, event_id=f"e{number:03}")
    counted = {number: event for number, event in enumerate(events) if number not in voided}
    wanted = naive(counted)
    advance_clock(context, to=END - timedelta(minutes=1) + timedelta(seconds=59))
    if "gb" not in {meter for *_, meter, _ in counted.values()}:
        assert by_price(upcoming_invoice(context, customer_id="acme")["lines"]) == wanted
    assert verify_usage(store).differences == []
    advance_clock(context, to=END + timedelta(hours=2))
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter())
    assert by_price([line for invoice in page.entries for line in invoice["lines"]]) == wanted


def put_catalog(store: SqlStore) -> None:
    apply(make_context(store, start="2026-04-01T00:00:00Z"), CATALOG)


@cache
def with_catalog() -> SqlStore:
    """Returns a database with the catalog, which each example copies."""
    store = open_store("sqlite://")
    put_catalog(store)
    return store


@pytest.mark.timeout(240)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=EVENTS,
    voided=st.sets(st.integers(0, 13), max_size=3),
    batch=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_every_aggregation_comes_to_the_same_money_however_usage_came(
    events: list[Event], voided: set[int], batch: int, order: object
) -> None:
    store = copy_of(with_catalog())
    try:
        check(store, events, voided=voided, batch=batch, order=order)
    finally:
        store.close()


@pytest.mark.postgresql
def test_every_aggregation_comes_to_the_same_money_on_postgresql(postgresql_url: str) -> None:
    import random

    source = random.Random(7)
    events: list[Event] = [
        (source.randrange(MINUTES), source.randrange(30), meter, source.choice(["u1", "u2"]))
        for meter in METERS * 3
    ]
    store = open_store(postgresql_url)
    try:
        put_catalog(store)
        check(store, events, voided={1, 4}, batch=4, order=source)
    finally:
        store.close()
