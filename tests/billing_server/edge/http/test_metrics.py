"""`/metrics`: figures for Prometheus, without a key and without customers."""

from prometheus_client.parser import text_string_to_metric_families

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import Api, context_of


def test_limits_and_leases_are_summed_by_key_and_no_customer_is_named(
    memory_store: SqlStore,
) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    agent = world.leasing()
    agent.push(event("e1"))
    agent.sync(want("daily", 10))
    answer = Api(context_of(world)).call("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["billing_server_limit_settled", ("daily",)] == 100
    assert samples["billing_server_limit_unreserved", ("daily",)] == 100
    assert samples["billing_server_lease_rest", ("daily", "live")] == 150
    assert samples["billing_server_leases", ("daily", "live")] == 1
    assert samples["billing_server_quarantined_events", ()] == 0
    assert "acme" not in answer.text
