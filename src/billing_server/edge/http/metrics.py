"""`/metrics`: figures of the server for Prometheus. No customer is ever a label."""

from collections.abc import Iterator
from typing import Final

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from billing_server.services.context import ServiceContext
from billing_server.services.server_figures import ServerFigures, server_figures

PREFIX: Final = "billing_server_"
UNIT_NOTE: Final = "In the limit's smallest unit, summed over customers."


def add_metrics(app: FastAPI, *, context: ServiceContext) -> None:
    """Add `/metrics` to an application."""

    @app.get("/metrics", tags=["health"], response_class=Response)
    def get_metrics() -> Response:
        """Show figures in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(server_figures(context)))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """Gives one reading to a registry."""

    def __init__(self, figures: ServerFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yields every metric once."""
        yield from _limit_metrics(self._figures)
        yield from _lease_metrics(self._figures)
        yield GaugeMetricFamily(
            f"{PREFIX}quarantined_events",
            "Events that wait for an operator.",
            value=self._figures.quarantined_count,
        )
        yield InfoMetricFamily(
            f"{PREFIX}data",
            "Identity of the server's data: another one after a restore.",
            value={"incarnation": self._figures.incarnation},
        )


def _limit_metrics(figures: ServerFigures) -> Iterator[Metric]:
    for name, what in (
        ("settled", "Known use of the windows that run now."),
        ("unreserved", "Of it, use without a reservation that no lease bore."),
        ("overrun", "Of it, use beyond what was reserved."),
        ("money_estimate_error", "Of it, money rated beyond its estimate."),
        ("released", "Written-off leases that an operator released."),
    ):
        family = GaugeMetricFamily(f"{PREFIX}limit_{name}", f"{what} {UNIT_NOTE}", labels=["limit"])
        for total in figures.limits:
            family.add_metric([total.limit_key], getattr(total, name))
        yield family


def _lease_metrics(figures: ServerFigures) -> Iterator[Metric]:
    rest = GaugeMetricFamily(
        f"{PREFIX}lease_rest",
        f"What leases may still use, by state: reclaimed is unknown, written_off presumed. "
        f"{UNIT_NOTE}",
        labels=["limit", "state"],
    )
    count = GaugeMetricFamily(
        f"{PREFIX}leases", "Leases that are not closed.", labels=["limit", "state"]
    )
    for total in figures.leases:
        rest.add_metric([total.limit_key, str(total.state)], total.rest)
        count.add_metric([total.limit_key, str(total.state)], total.lease_count)
    yield rest
    yield count
