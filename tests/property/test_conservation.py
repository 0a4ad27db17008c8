"""Whatever is repeated, reordered, replayed or sent twice, usage equals a naive recount.

The recount knows nothing of the server: the first content that arrives under a (customer, id)
counts, and only that.
"""

from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_server.services.ingest_usage import PushState
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.redrive_quarantine import redrive_quarantine
from billing_server.store.unit_of_work import open_store
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import NOON, AgentAtWork, IngestWorld, event

CUSTOMERS = ("acme", "other", "late")
EVENTS = st.builds(
    lambda number, customer, tokens, model, minute: event(
        f"e{number}",
        customer=customer,
        quantities={"input_tokens": str(tokens)},
        dimensions={"model": model},
        at=NOON + timedelta(minutes=minute),
    ),
    number=st.integers(0, 9),
    customer=st.sampled_from(CUSTOMERS),
    tokens=st.integers(0, 3),  # Few values: the same id often comes with the same content.
    model=st.sampled_from(("large", "small")),
    minute=st.integers(0, 1),
)
PUSHES = st.lists(
    st.tuples(st.integers(0, 1), st.lists(EVENTS, max_size=8), st.integers(0, 6)),
    max_size=12,
)


class Recount:
    """The naive truth."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], usage_pb2.UsageEvent] = {}

    def hear(self, events: list[usage_pb2.UsageEvent]) -> None:
        for each in events:
            self.first.setdefault((each.customer_id, each.event_id), each)

    def totals(self, customer: str) -> dict[tuple[str, str], int]:
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for each in self.first.values():
            if each.customer_id == customer:
                key = ("input_tokens", each.dimensions["model"])
                sums[key] += int(each.quantities["input_tokens"])
        return dict(sums)


def replay(
    world: IngestWorld, pushes: list[tuple[int, list[usage_pb2.UsageEvent], int]]
) -> Recount:
    """Pushes from two agents; a push may begin with the last events of the one before."""
    agents: list[AgentAtWork] = [world.agent(), world.agent()]
    sent: list[list[usage_pb2.UsageEvent]] = [[], []]
    recount = Recount()
    for number, fresh, again in pushes:
        history = sent[number]
        first = max(len(history) - again, 0)
        events = history[first:] + fresh
        outcome = agents[number].push(*events, first_seq=first + 1)
        assert outcome.state is PushState.APPLIED
        tally = outcome.tally
        assert len(events) == (
            tally.counted + tally.duplicates + tally.conflicts + tally.quarantined
        )
        recount.hear(fresh)
        history += fresh
    return recount


@given(pushes=PUSHES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_usage_equals_a_naive_recount_and_charges_equal_a_rebuild(
    pushes: list[tuple[int, list[usage_pb2.UsageEvent], int]],
) -> None:
    store = open_store("sqlite://")
    try:
        world = IngestWorld(store)
        world.add_customer("other")
        recount = replay(world, pushes)
        world.add_customer("late")
        redrive_quarantine(store)
        for customer in CUSTOMERS:
            assert world.totals(customer) == recount.totals(customer)
        booked = world.charges()
        with store.write() as unit:
            rebuild_running_charges(unit, customer_id="acme")
        assert world.charges() == booked
        assert world.waiting() == {}
    finally:
        store.close()


@pytest.mark.postgresql
@given(pushes=PUSHES)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_usage_equals_a_naive_recount_on_postgresql(
    postgresql_url: str, pushes: list[tuple[int, list[usage_pb2.UsageEvent], int]]
) -> None:
    store = open_store(postgresql_url)
    try:
        with store.write() as unit:
            unit.connection.exec_driver_sql(
                "TRUNCATE agent, declared_loss, usage_event, usage_conflict, usage_series, "
                "usage_bucket, meter, plan_version, customer, subscription, running_charge, "
                "billing_period, invoice, invoice_line"
            )
        world = IngestWorld(store)
        world.add_customer("other")
        recount = replay(world, pushes)
        for customer in ("acme", "other"):
            assert world.totals(customer) == recount.totals(customer)
    finally:
        store.close()
