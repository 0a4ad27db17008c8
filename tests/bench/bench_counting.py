"""What counting costs beside its prices and its past, and how fast a check reads it all again.

Ingest for customers with 5 and with 50 prices; a push into a period with little and with much usage
before it; `verify` of 1,000,000 events. SQLite, one core.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from billing_server.domain.catalog.model import Meter, Plan, UsagePrice
from billing_server.domain.ports.customers import StartInvoice
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.percentage import PercentageByEvent
from billing_server.domain.rating.price_model import PriceModel, is_rated_by_event
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.verify_usage import VerifyReport, verify_usage
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.api.v1 import usage_pb2
from metering.clock import ManualClock
from tests.bench.row import BenchRow
from tests.bench.server_world import (
    BENCH_DIR,
    NOW,
    PERIOD_START,
    PUSH_EVENTS,
    Preload,
    Traffic,
    preloaded_database,
    time_ordered_id,
)

PER_UNIT = PerUnit(Decimal("0.000003"))
BY_EVENT = PercentageByEvent(share=Decimal("0.000003"), fixed_per_event=Decimal("0.0001"))
VERIFY_EVENTS = 1_000_000
CUSTOMER_COUNT = 100
WARM_UP_PUSHES = 2
PUSHES = 8
HISTORY_PUSHES = 60
"""300,000 events of one customer."""


class PricedTraffic(Traffic):
    """Events of a meter with one price a model."""

    def __init__(self, store: SqlStore, *, seed: int, customers: int, models: int) -> None:
        super().__init__(store, make_id=time_ordered_id, seed=seed)
        self._customers = customers
        self._models = models

    def _event(self, seq: int) -> usage_pb2.UsageEvent:
        source = self._random
        moment_ms = int(NOW.timestamp() * 1000) + seq // 10
        message = usage_pb2.UsageEvent(
            event_id=time_ordered_id(moment_ms, source),
            customer_id=f"customer-{source.randrange(self._customers)}",
            quantities={"tokens": str(source.randrange(1, 8_000))},
            dimensions={"model": f"model-{source.randrange(self._models)}"},
        )
        message.event_time.seconds, rest = divmod(moment_ms, 1000)
        message.event_time.nanos = rest * 1_000_000
        return message


def run(*, seconds: float, verify_events: int = VERIFY_EVENTS) -> list[BenchRow]:
    """Measures each figure; `seconds` does not matter: the work is fixed."""
    few, many = (_price_cost(prices) for prices in (5, 50))
    early, late = _history_cost(PER_UNIT)
    event_early, event_late = _history_cost(BY_EVENT)
    elapsed, processor, report = _verify(verify_events)
    return [
        BenchRow(
            "ingest of an event for customers with 50 prices, processor time",
            many,
            "µs",
            "≤ 2 × 5 prices",
            f"{many / few:.2f} × the {few:.0f} µs with 5 prices",
        ),
        BenchRow(
            "ingest of an event after 300,000 of its customer's period, processor time",
            late,
            "µs",
            "as after none",
            f"{late / early:.2f} × the {early:.0f} µs after 5,000",
        ),
        BenchRow(
            "the same of a price by event, its events in order",
            event_late,
            "µs",
            "as after none",
            f"{event_late / event_early:.2f} × the {event_early:.0f} µs after 5,000",
        ),
        BenchRow(
            f"verify of {verify_events:,} events, quantities that differ",
            report.event_count / elapsed,
            "events/s",
            "≥ 100,000",
            f"{report.bucket_count:,} buckets and {report.charge_count:,} charges compared, "
            f"{processor / report.event_count * 1e6:.1f} µs of processor time an event, "
            f"{report.difference_count} differences",
        ),
    ]


def _price_cost(prices: int) -> float:
    with _store(PER_UNIT, customers=CUSTOMER_COUNT, prices=prices) as store:
        traffic = PricedTraffic(store, seed=1, customers=CUSTOMER_COUNT, models=prices)
        return statistics.median(_pushes(store, traffic, count=WARM_UP_PUSHES + PUSHES)[2:])


def _history_cost(model: PriceModel) -> tuple[float, float]:
    with _store(model, customers=1, prices=5) as store:
        traffic = PricedTraffic(store, seed=1, customers=1, models=5)
        costs = _pushes(store, traffic, count=HISTORY_PUSHES)
        return statistics.median(costs[1:6]), statistics.median(costs[-5:])


def _pushes(store: SqlStore, traffic: PricedTraffic, *, count: int) -> list[float]:
    """Returns the processor time of an event in each push, in microseconds."""
    ingester = UsageIngester(store=store, clock=ManualClock(NOW))
    costs = []
    for _ in range(count):
        push = traffic.push()
        started = time.process_time()
        outcome = ingester.push(traffic.agent, push=push)
        costs.append((time.process_time() - started) / PUSH_EVENTS * 1e6)
        assert outcome.tally.counted == PUSH_EVENTS
    return costs


def _verify(events: int) -> tuple[float, float, VerifyReport]:
    path = preloaded_database(events, preload=Preload.VARIED)
    store = open_store(f"sqlite:///{path}")
    try:
        started, processor = time.perf_counter(), time.process_time()
        report = verify_usage(store)
        return time.perf_counter() - started, time.process_time() - processor, report
    finally:
        store.close()


@contextmanager
def _store(model: PriceModel, *, customers: int, prices: int) -> Iterator[SqlStore]:
    BENCH_DIR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BENCH_DIR) as directory:
        store = open_store(f"sqlite:///{Path(directory) / 'billing.db'}")
        _write_catalog(store, model, customers=customers, prices=prices)
        yield store
        store.close()


def _write_catalog(store: SqlStore, model: PriceModel, *, customers: int, prices: int) -> None:
    found = tuple(
        UsagePrice(
            key=f"price-{number}",
            meter="tokens",
            where={"model": f"model-{number}"},
            model=model,
        )
        for number in range(prices)
    )
    plan = Plan(key="pro", version=1, currency="USD", effective_from=PERIOD_START, prices=found)
    with store.write() as unit:
        unit.catalog.put_meter(Meter(key="tokens", quantity="tokens"), update_time=PERIOD_START)
        if is_rated_by_event(model):
            unit.catalog.keep_by_event("tokens", money_quantities=frozenset())
        unit.catalog.add_plan_version(plan, create_time=PERIOD_START)
        for number in range(customers):
            name = f"customer-{number}"
            unit.customers.add(Customer(id=name, currency="USD"), create_time=PERIOD_START)
            subscription = Subscription(
                id=f"sub-{name}",
                customer_id=name,
                plan_key="pro",
                plan_version=1,
                start=PERIOD_START,
            )
            unit.subscriptions.add(
                subscription, create_time=PERIOD_START, start_invoice=StartInvoice.NOT_DUE
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=VERIFY_EVENTS)
    arguments = parser.parse_args()
    for row in run(seconds=0, verify_events=arguments.events):
        print(f"{row.name}: {row.value:,.1f} {row.unit} {row.goal} ({row.note})")
