"""A whole server in one process for tests: store, test clock, HTTP application, no sockets."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from billing_server.bootstrap import counted_bytes
from billing_server.domain.ports.unit_of_work import Store
from billing_server.edge.http.app import create_app
from billing_server.services.api_keys import create_api_key
from billing_server.services.apply_catalog import ApplyMode, apply_catalog
from billing_server.services.context import BillingSettings, ServiceContext
from billing_server.services.ingest_tally import Tally
from billing_server.services.plan_catalog import CatalogSource
from billing_server.services.scenario import UsageStep
from billing_server.services.scenario_usage import ScenarioAgent
from metering.clock import ManualClock, parse_instant

START = "2026-01-31T10:00:00Z"
CATALOG = """
meters:
  - {key: tokens, unit: token, aggregation: sum}
plans:
  - key: pro
    name: Pro
    currency: USD
    billing_period: month
    anchor: anniversary
    prices:
      - {key: base, name: Base fee, kind: recurring, amount: "20.00", bill: in_advance}
      - {key: tokens, name: Tokens, kind: usage, meter: tokens, where: {model: large},
         included: "1000", model: per_unit, unit_price: "0.01"}
customers:
  - {id: acme, name: Acme, currency: USD}
subscriptions:
  - {id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}
"""
"""One customer on a plan of $20 in advance and $0.01 a token beyond 1,000 a month."""
TAXED = (
    CATALOG.replace("currency: USD}", "currency: USD, country: DE}")
    + """
tax_rates: [{key: de-vat, name: VAT, rate: "0.19", country: DE}]
"""
)
"""The same with 19 % VAT."""


def make_context(
    store: Store, *, start: str = START, grace: timedelta = timedelta(hours=1)
) -> ServiceContext:
    """Returns the world of the use cases on a test clock."""
    clock = ManualClock(parse_instant(start))
    with store.write() as unit:
        unit.clock.set_test_clock(clock.now())
    return ServiceContext(
        store=store,
        clock=clock,
        random_bytes=counted_bytes(),
        settings=BillingSettings(grace=grace),
    )


def apply(context: ServiceContext, text: str, *, mode: ApplyMode = ApplyMode.APPLY) -> list[str]:
    """Applies a catalog; returns the first line of each change."""
    changes = apply_catalog(
        context, sources=[CatalogSource(name="catalog.yaml", text=text)], mode=mode
    ).changes
    return [change.description.split("\n")[0] for change in changes]


class Usage:
    """Sends usage through ingest, as an agent would."""

    def __init__(self, context: ServiceContext) -> None:
        """Enrolls an agent and opens its session."""
        self.context = context
        self._agent = ScenarioAgent(context)
        self._number = 0

    def send(
        self,
        tokens: str,
        *,
        at: str,
        customer: str = "acme",
        meter: str = "tokens",
        dimensions: Mapping[str, str] | None = None,
        event_id: str | None = None,
    ) -> Tally:
        """Sends one event with its own time; returns what became of it."""
        self._number += 1
        step = UsageStep(
            customer_id=customer,
            event_id=event_id or f"event-{self._number}",
            quantities={meter: tokens},
            dimensions={"model": "large"} if dimensions is None else dimensions,
            event_time=parse_instant(at),
            every=None,
            until=None,
        )
        self._agent.record(step, at=parse_instant(at), repeat=0)
        return self._agent.flush()


@dataclass
class Api:
    """Calls the HTTP application as a client with an API key would."""

    context: ServiceContext
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = create_api_key(self.context, name="test")
        self._app = create_app(self.context, version="0.0.0")

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sends a request and returns the answer; errors of the application are answers too."""
        headers = {"Authorization": f"Bearer {self.key}"} | arguments.pop("headers", {})

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, **arguments)

        return asyncio.run(send())

    def get(self, path: str, **arguments: Any) -> Any:
        """Returns the JSON of a resource."""
        response = self.call("GET", path, **arguments)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: dict[str, Any], **arguments: Any) -> httpx.Response:
        """Sends a JSON body."""
        return self.call("POST", path, json=body, **arguments)


def context_of(world: Any) -> ServiceContext:
    """Returns the world of the use cases around a store and clock that are there already."""
    return ServiceContext(store=world.store, clock=world.clock, random_bytes=counted_bytes())
