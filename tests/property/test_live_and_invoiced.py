"""Live charges and invoices are a function of the usage: not of order, batches or repeats.

Method: random events of two months are sent in random order and in random batches, some of them
twice, some of them after their month was invoiced. However they came, the two invoices and the
upcoming one must add up to what fractions say of the same events.
"""

from datetime import timedelta
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.context import ServiceContext
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.scenario import UsageStep
from billing_server.services.scenario_usage import ScenarioAgent
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import open_store
from metering.clock import parse_instant
from tests.billing_server.world import apply, make_context

START = parse_instant("2026-01-01T00:00:00Z")
JANUARY_MINUTES = 31 * 24 * 60
TWO_MONTHS_MINUTES = (31 + 28) * 24 * 60
CATALOG = """
meters: [{key: tokens, unit: token, aggregation: sum, decimals: 2}]
plans:
  - key: p
    currency: USD
    billing_period: month
    anchor: calendar
    prices:
      - key: large
        kind: usage
        meter: tokens
        where: {model: large}
        included: "10"
        model: graduated
        tiers:
          - {up_to: "100", unit_price: "0.013"}
          - {unit_price: "0.007"}
      - {key: other, kind: usage, meter: tokens, model: per_unit, unit_price: "0.0031"}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: p, start: 2026-01-01T00:00:00Z}]
"""

Event = tuple[int, int, str]
"""Minute since the start, hundredths of a token, model."""
events_strategy = st.lists(
    st.tuples(
        st.integers(0, TWO_MONTHS_MINUTES - 1),
        st.integers(0, 9_999),
        st.sampled_from(["large", "small"]),
    ),
    max_size=12,
)


def _cents(events: list[Event]) -> int:
    """Returns what the usage of one month costs, each price rounded once, half up."""
    used = {
        model: sum((Fraction(size, 100) for _, size, name in events if name == model), Fraction(0))
        for model in ("large", "small")
    }
    billable = max(Fraction(0), used["large"] - 10)
    first = min(billable, Fraction(100))
    large = first * Fraction("0.013") + (billable - first) * Fraction("0.007")
    other = used["small"] * Fraction("0.0031")
    return sum(int(amount * 100 + Fraction(1, 2)) for amount in (large, other))


def _send(agent: ScenarioAgent, numbered: list[tuple[int, Event]], *, batch: int) -> None:
    for position, (number, (minute, size, model)) in enumerate(numbered, start=1):
        step = UsageStep(
            customer_id="acme",
            event_id=f"event-{number}",
            quantities={"tokens": f"{size // 100}.{size % 100:02d}"},
            dimensions={"model": model},
            event_time=START + timedelta(minutes=minute),
            every=None,
            until=None,
        )
        agent.record(step, at=START, repeat=0)
        if position % batch == 0:
            agent.flush()
    agent.flush()


def _minor(text: str) -> int:
    return int(text.replace(".", ""))


def _invoiced(context: ServiceContext) -> int:
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter())
    return sum(_minor(invoice["total"]) for invoice in page.entries)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=events_strategy,
    late=st.sets(st.integers(0, 11)),
    repeated=st.lists(st.integers(0, 11), max_size=6),
    batch=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_what_is_invoiced_is_what_was_used_however_it_came(
    events: list[Event],
    late: set[int],
    repeated: list[int],
    batch: int,
    order: object,
) -> None:
    """R76, R38: late, doubled, shuffled and split usage comes to the same money."""
    numbered = list(enumerate(events))
    in_time = [each for each in numbered if each[0] not in late]
    again = [numbered[number] for number in repeated if number < len(numbered)]
    order.shuffle(in_time)  # type: ignore[attr-defined]
    january = [event for event in events if event[0] < JANUARY_MINUTES]
    february = [event for event in events if event[0] >= JANUARY_MINUTES]
    store = open_store("sqlite://")
    try:
        context = make_context(store, start="2026-01-01T00:00:00Z")
        apply(context, CATALOG)
        agent = ScenarioAgent(context)
        _send(agent, in_time, batch=batch)
        advance_clock(context, to=parse_instant("2026-02-01T01:00:00Z"))
        _send(agent, [*numbered, *again], batch=batch)
        live = _minor(upcoming_invoice(context, customer_id="acme")["total"])
        assert _invoiced(context) + live == _cents(january) + _cents(february)
        advance_clock(context, to=parse_instant("2026-03-01T01:00:00Z"))
        assert _invoiced(context) == _cents(january) + _cents(february)
    finally:
        store.close()
