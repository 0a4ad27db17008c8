"""The exported catalog, on both databases."""

import yaml

from billing_server.services.export_catalog import export_catalog
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, apply, make_context

MORE = """
plans:
  - key: deal
    currency: USD
    minimum_spend: "50"
    commitment: {amount: "1000", overage_discount: "0.2"}
    thresholds: {every: "500"}
    prices:
      - {key: setup, kind: one_time, amount: "99", tax_category: saas, tax_behavior: inclusive}
      - {key: seats, kind: recurring, amount: "10", per_unit: seats, billing_period: year,
         tax_category: saas, tax_behavior: inclusive}
addons: [{key: help, prices: [{key: help, kind: recurring, amount: "28.00"}]}]
tax_rates:
  - {key: saas, name: VAT, rate: "0.19", country: DE, category: saas, from: 2021-01-01}
"""


def test_what_is_exported_applies_to_itself_without_a_change(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    apply(context, MORE)
    text = yaml.safe_dump(export_catalog(context), sort_keys=False)
    assert apply(context, text) == []
    assert [plan["key"] for plan in yaml.safe_load(text)["plans"]] == ["deal", "pro"]
