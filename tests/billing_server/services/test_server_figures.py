"""Figures for the metrics: sums over customers by limit."""

from billing_server.services.server_figures import server_figures
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import context_of


def test_windows_that_run_and_open_leases_are_summed_by_limit(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    world.add_customer("bela")
    world.limit(units("daily", 1_000), customer="bela")
    agent = world.leasing()
    for customer in ("acme", "bela"):
        agent.push(event(f"e-{customer}", customer=customer))
    agent.sync(want("daily", 10), want("daily", 10, customer="bela"))
    figures = server_figures(context_of(world))
    (limit,) = figures.limits
    assert (limit.limit_key, limit.settled, limit.unreserved) == ("daily", 200, 200)
    (leases,) = figures.leases
    assert (leases.lease_count, leases.rest) == (2, 300)
    assert (figures.quarantined_count, len(figures.incarnation)) == (0, 32)
