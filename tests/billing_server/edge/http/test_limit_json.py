"""Limits in JSON: amounts in the unit that people use."""

from dataclasses import replace
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.edge.http.limit_json import limit_view_to_json
from billing_server.services.limit_views import show_limits
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.lease_world import LeaseWorld
from tests.billing_server.limit_world import money, units
from tests.billing_server.world import context_of


def test_amounts_are_told_in_units_money_and_calls(memory_store: SqlStore) -> None:
    world = LeaseWorld(
        memory_store,
        replace(units("gpu", 5), meter="gpu_seconds", maximum=Decimal("5.5")),
        money("cap", "20.5"),
        Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8)),
    )
    found = {
        view.limit.key: limit_view_to_json(view)
        for view in show_limits(context_of(world), customer_id="acme")
    }
    assert {key: (each["max"], each["unit"]) for key, each in found.items()} == {
        "gpu": ("5.5", "second"),
        "cap": ("20.5", "USD"),
        "slots": ("8", "call"),
    }
    assert found["slots"]["window"]["end"] is None
