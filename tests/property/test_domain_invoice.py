"""Whatever was used and whenever it arrived: invoices add up and charge every unit once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.invoice.build import build_late, build_periodic, build_start
from billing_server.domain.invoice.identities import check_identities
from billing_server.domain.invoice.late import LatePeriod, NothingInvoiced
from billing_server.domain.invoice.late_usage import InvoicedPart
from billing_server.domain.invoice.lines import BillingTerms, rate_segment
from billing_server.domain.invoice.model import Invoice, InvoiceLine
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.subscription.timeline import Timeline
from metering.money import RatedAmount, round_line

INPUT = UsageKey("input")
SEATS = UsageKey("seats")


CATALOG = parse_catalog(
    """
meters:
  - {key: tokens, aggregation: sum, decimals: 3}
  - {key: seats, aggregation: max}
plans:
  - key: pro
    currency: USD
    anchor: calendar
    prices:
      - {key: base, kind: recurring, amount: "19.99"}
      - {key: care, kind: recurring, amount: "7.77", bill: in_arrears}
      - key: input
        kind: usage
        meter: tokens
        included: "100"
        model: graduated
        tiers: [{up_to: "1000", unit_price: "0.00333", flat_price: "1"}, {unit_price: "0.0011"}]
      - {key: seats, kind: usage, meter: seats, model: per_unit, unit_price: "3.333"}
""",
    name="catalog.yaml",
)
amounts = st.integers(0, 10**8).map(lambda scaled: Decimal(scaled).scaleb(-3))
starts = st.integers(0, 60 * 24 * 31).map(
    lambda minute: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)


def terms_from(start: datetime) -> BillingTerms:
    subscription = Subscription(
        id="sub-1", customer_id="acme", plan_key="pro", plan_version=1, start=start
    )
    return BillingTerms(
        customer=Customer(id="acme"),
        timeline=Timeline(subscription, CATALOG.plans[0], "Europe/Berlin"),
        meters={meter.key: meter for meter in CATALOG.meters},
    )


class Invoiced:
    """What the lines of earlier invoices carry."""

    def __init__(self) -> None:
        self.quantity = Decimal(0)
        self.amount_minor = 0
        self.late_sequence = 0
        self.groups: dict[str, InvoicedPart] = {}

    def take(self, line: InvoiceLine) -> None:
        self.quantity += line.quantity
        self.amount_minor += line.amount.amount_minor
        self.late_sequence = max(self.late_sequence, line.sequence)


@given(start=starts, used=amounts, seats=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_r45_every_invoice_adds_up_and_is_never_negative(
    start: datetime, used: Decimal, seats: int
) -> None:
    terms = terms_from(start)
    period = terms.timeline.first_period()
    quantities = {INPUT: used, SEATS: Decimal(seats)}
    for build in (
        build_start(terms),
        build_periodic(terms, period=period, quantities=quantities),
    ):
        assert isinstance(build.invoice, Invoice)
        check_identities(build.invoice)
        assert build.invoice.total.amount_minor >= 0
        assert build.held_back == ()


@given(start=starts, parts=st.lists(amounts, min_size=1, max_size=6), seats=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_r76_however_late_usage_comes_all_invoices_make_the_price_of_the_whole(
    start: datetime, parts: list[Decimal], seats: int
) -> None:
    terms = terms_from(start)
    period = terms.timeline.first_period()
    invoiced = {INPUT: Invoiced(), SEATS: Invoiced()}
    total = Decimal(0)
    for number, part in enumerate(parts):
        total += part
        late = LatePeriod(
            period=period,
            quantities={INPUT: total, SEATS: Decimal(min(number, seats))},
            invoiced=invoiced,
        )
        build = build_late(terms, late=late, sequence=number + 1)
        keys = set()
        for line in build.invoice.lines if build.invoice else ():
            keys.add(line.charge_key)
            invoiced[UsageKey(line.price, line.segment)].take(line)
    used = {INPUT: total, SEATS: Decimal(min(len(parts) - 1, seats))}
    for price, segment in terms.timeline.usage_segments(period):
        key = UsageKey.of(segment)
        rated = rate_segment(terms, price=price, segment=segment, used=used[key])
        whole = round_line(RatedAmount(rated.amount_exact, "USD"))
        assert invoiced[key].amount_minor == whole.amount_minor
    assert NothingInvoiced().quantity == 0
