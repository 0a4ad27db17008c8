"""A plan, a subscription and their billing terms, for tests of invoices."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing_server.domain.catalog.model import Meter
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.subscription.timeline import Timeline

CATALOG = """
meters:
  - {key: tokens, unit: token, aggregation: sum}
  - {key: seats, unit: seat, aggregation: max}
plans:
  - key: pro
    currency: USD
    anchor: calendar
    proration: day
    prices:
      - {key: base, name: Base fee, kind: recurring, amount: "20.00"}
      - key: input
        name: Input tokens
        kind: usage
        meter: tokens
        included: "1000"
        model: graduated
        tiers:
          - {up_to: "1000", unit_price: "0.01"}
          - {up_to: "10000", unit_price: "0.008"}
          - {unit_price: "0.005"}
      - {key: support, kind: recurring, amount: "10.00", bill: in_arrears}
      - {key: seats, kind: usage, meter: seats, model: per_unit, unit_price: "3"}
"""

TermsFactory = Callable[..., BillingTerms]


@pytest.fixture
def make_terms() -> TermsFactory:
    """Returns the maker of billing terms on a calendar-month plan."""

    def make(
        *,
        start: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        end: datetime | None = None,
        catalog: str = CATALOG,
        timezone: str = "UTC",
    ) -> BillingTerms:
        found = parse_catalog(catalog, name="test.yaml")
        subscription = Subscription(
            id="sub-1",
            customer_id="acme",
            plan_key="pro",
            plan_version=1,
            start=start,
            end=end,
        )
        meters: dict[str, Meter] = {meter.key: meter for meter in found.meters}
        return BillingTerms(
            customer=Customer(id="acme", name="Acme", timezone=timezone, country="DE"),
            timeline=Timeline(subscription, found.plans[0], timezone),
            meters=meters,
            seller={"name": "Seller Inc."},
            tax_rates=found.tax_rates,
        )

    return make
