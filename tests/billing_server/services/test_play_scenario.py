"""A scenario is played by the server's own use cases."""

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.context import ServiceContext
from billing_server.services.list_invoices import list_invoices
from billing_server.services.pages import PageRequest
from billing_server.services.play_scenario import play_scenario
from billing_server.services.scenario import parse_scenario
from billing_server.store.unit_of_work import SqlStore
from metering.clock import format_instant
from metering.errors import MeteringError
from tests.billing_server.world import CATALOG, make_context

CATALOG_PART = CATALOG.split("customers:", maxsplit=1)[0].replace("\n", "\n  ")
SCENARIO = f"""
catalog:{CATALOG_PART}
timeline:
  - {{at: "2026-01-31T10:00:00Z", do: create_customer, customer: acme}}
  - {{at: "2026-01-31T10:00:00Z", do: subscribe, customer: acme, plan: pro, subscription: s-1}}
  - {{at: "2026-01-31T12:00:00Z", do: usage, customer: acme, quantities: {{tokens: "100"}},
     dimensions: {{model: large}}, every: P1D, until: "2026-04-01T00:00:00Z"}}
until: "2026-04-01T00:00:00Z"
"""


def _play(store: SqlStore, text: str) -> ServiceContext:
    scenario = parse_scenario(text, name="s.yaml")
    context = make_context(store, start=format_instant(scenario.start))
    play_scenario(context, scenario=scenario)
    return context


def test_usage_between_two_closings_counts_into_its_own_period(memory_store: SqlStore) -> None:
    context = _play(memory_store, SCENARIO)
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter(reason="periodic"))
    # 31 Jan 12:00 to 27 Feb 12:00 is 28 days of 100: 2,800 − 1,000 = 1,800 × 0.01 = 18.00.
    # 28 Feb 12:00 to 30 Mar 12:00 is 31 days of 100: 3,100 − 1,000 = 2,100 × 0.01 = 21.00.
    assert [(invoice["issue_time"], invoice["total"]) for invoice in page.entries] == [
        ("2026-02-28T11:00:00Z", "38.00"),
        ("2026-03-31T11:00:00Z", "41.00"),
    ]


def test_a_step_that_the_server_refuses_ends_the_play(memory_store: SqlStore) -> None:
    wrong = SCENARIO.replace("plan: pro, subscription", "plan: nothing, subscription")
    with pytest.raises(MeteringError, match=r"s\.yaml: timeline\[1\]: there is no plan 'nothing'"):
        _play(memory_store, wrong)
