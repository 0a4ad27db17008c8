"""A catalog with a meter of every aggregation, and usage for it."""

from collections.abc import Mapping
from datetime import datetime

from billing_server.services.context import ServiceContext
from billing_server.services.ingest_tally import Tally
from billing_server.services.scenario import UsageStep
from billing_server.services.scenario_usage import ScenarioAgent
from metering.clock import parse_instant

METERS = """
meters:
  - {key: tokens, aggregation: sum, decimals: 2}
  - {key: calls, aggregation: count}
  - {key: peak, aggregation: max}
  - {key: seats, aggregation: latest}
  - {key: rating, aggregation: average, decimals: 1}
  - {key: users, aggregation: unique_count, of: user}
  - {key: gb, aggregation: time_weighted}
plans:
  - key: p
    currency: USD
    anchor: calendar
    prices:
      - {key: tokens, kind: usage, meter: tokens, model: per_unit, unit_price: "0.01"}
      - {key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "1"}
      - {key: peak, kind: usage, meter: peak, model: per_unit, unit_price: "1"}
      - {key: seats, kind: usage, meter: seats, model: per_unit, unit_price: "1"}
      - {key: rating, kind: usage, meter: rating, model: per_unit, unit_price: "1"}
      - {key: users, kind: usage, meter: users, model: per_unit, unit_price: "1"}
      - {key: gb, kind: usage, meter: gb, model: per_unit, unit_price: "1"}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: p, start: 2026-04-01T00:00:00Z}]
"""
"""One customer, `acme`, on a plan with a price of 1.00 (tokens: 0.01) on each meter, from April."""
START = "2026-04-01T00:00:00Z"


class Sender:
    """Sends usage of any quantities through ingest, as an agent would."""

    def __init__(self, context: ServiceContext) -> None:
        """Enrolls an agent and opens its session."""
        self._agent = ScenarioAgent(context)
        self._number = 0

    def send(
        self,
        quantities: Mapping[str, str],
        *,
        at: str | datetime,
        event_id: str | None = None,
        customer: str = "acme",
        **dimensions: str,
    ) -> Tally:
        """Sends one event with its own time; returns what became of it."""
        self._number += 1
        when = parse_instant(at) if isinstance(at, str) else at
        step = UsageStep(
            customer_id=customer,
            event_id=event_id or f"event-{self._number:03}",
            quantities=quantities,
            dimensions=dimensions,
            event_time=when,
            every=None,
            until=None,
        )
        self._agent.record(step, at=when, repeat=0)
        return self._agent.flush()
