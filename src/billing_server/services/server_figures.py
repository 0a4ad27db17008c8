"""Figures of the whole server for its metrics: read at each scrape, without customers."""

from dataclasses import dataclass

from billing_server.domain.ports.limits import LeaseTotal, LimitTotal
from billing_server.services.context import ServiceContext


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What a scrape shows."""

    limits: tuple[LimitTotal, ...]
    """Windows that run now, summed by limit."""
    leases: tuple[LeaseTotal, ...]
    """Leases that are not closed, summed by limit and state."""
    quarantined_count: int
    """Events that wait for an operator. >= 0."""
    incarnation: str
    """Identity of the server's data; another one after a restore."""


def server_figures(context: ServiceContext) -> ServerFigures:
    """Return the figures as of now."""
    with context.store.read() as unit:
        return ServerFigures(
            limits=unit.limits.totals(running_at=context.clock.now()),
            leases=unit.leases.totals(),
            quarantined_count=unit.usage.quarantined_count(),
            incarnation=unit.agents.incarnation(),
        )
