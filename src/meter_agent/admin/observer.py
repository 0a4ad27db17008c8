"""Gathers, from the parts of the running agent, what the admin port and the status show."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CONTENT_TYPE_LATEST

from meter_agent.admin.health import HealthInput, why_not_live, why_not_ready
from meter_agent.admin.http import AdminPages
from meter_agent.admin.metrics import (
    MetricsInput,
    MetricsSource,
    metrics_registry,
    render_metrics,
)
from meter_agent.admin.quota_status import complete_quota
from meter_agent.admin.sampler import Sampler
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.edge.call_counters import CallCounters
from meter_agent.quota.view import view_of
from meter_agent.store.reader import OutboxReader
from meter_agent.store.writer import Writer
from meter_agent.uplink.lease_state import LeaseState
from meter_agent.uplink.settings import UplinkHealth
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.tally import UplinkFigures
from metering.api.v1.agent_pb2 import GetAgentStatusResponse
from metering.clock import Clock

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ObservedParts:
    """The parts that know."""

    version: str
    """Of the program."""
    database_path: Path
    """Of the buffer."""
    budget_bytes: int
    """Bytes that events may take, >= 1."""
    writer: Writer
    """Knows what is durable."""
    reader: OutboxReader
    """A connection of the observer's own: nobody else waits for it."""
    shipper: Shipper | None
    """Knows what the server did; None where there is no server."""
    calls: CallCounters
    """Knows what callers were answered."""
    leases: LeaseState
    """Knows limits, leases and reservations."""


class Observer(MetricsSource):
    """Answers for the whole agent; nothing that it answers waits for the disk.

    Args:
        parts: The parts that know.
        clock: Of the host.
    """

    def __init__(self, parts: ObservedParts, *, clock: Clock) -> None:
        self._parts = parts
        self._clock = clock
        self._start_us = _us(clock.now())
        self._is_stopping = False
        self._budget = DiskBudget(parts.budget_bytes)
        writer = parts.writer
        self.sampler: Final = Sampler(
            parts.reader,
            positions=lambda: writer.state.positions,
            database_path=parts.database_path,
            clock=clock,
        )
        self._registry = metrics_registry(self)

    def announce_stop(self) -> None:
        """Makes the agent not ready from now on."""
        self._is_stopping = True

    def pages(self) -> AdminPages:
        """Returns what the admin port answers."""
        return AdminPages(
            metrics=lambda: render_metrics(self._registry),
            metrics_content_type=CONTENT_TYPE_LATEST,
            why_not_live=lambda: why_not_live(self.health_input()),
            why_not_ready=lambda: why_not_ready(self.health_input()),
        )

    def health_input(self) -> HealthInput:
        """Returns what liveness and readiness follow from."""
        parts = self._parts
        commits = parts.writer.commit_times.view()
        error = parts.writer.last_error
        return HealthInput(
            is_stopping=self._is_stopping,
            is_writer_alive=parts.writer.is_alive,
            is_shipper_alive=parts.shipper is None or parts.shipper.is_alive,
            is_sampled=self.sampler.is_sampled,
            sample_age_seconds=self.sampler.age_seconds,
            commit_running_seconds=commits.running_seconds,
            failure_age_seconds=None if error is None else commits.failure_age_seconds,
            failure="" if error is None else error.message,
            disk_free_bytes=self.sampler.sample.disk_free_bytes,
            kept_bytes=parts.writer.state.kept_bytes,
            refuse_bytes=self._budget.refuse_bytes,
        )

    def metrics_input(self) -> MetricsInput:
        """Returns what the metrics show."""
        parts, shipper = self._parts, self._parts.shipper
        health = UplinkHealth() if shipper is None else shipper.health
        border = parts.writer.border
        return MetricsInput(
            version=parts.version,
            now_us=_us(self._clock.now()),
            start_us=self._start_us,
            is_ready=int(not why_not_ready(self.health_input())),
            positions=parts.writer.state.positions,
            accepted_count=border.accepted_count,
            damaged_count=border.damaged_count,
            kept_bytes=parts.writer.state.kept_bytes,
            budget=self._budget,
            sample=self.sampler.sample,
            sample_age_seconds=self.sampler.age_seconds,
            calls=parts.calls.view(),
            commits=parts.writer.commit_times.view(),
            figures=UplinkFigures() if shipper is None else shipper.tally.figures,
            is_server_reachable=int(health.is_reachable),
            away_seconds=0.0 if shipper is None else shipper.tally.offline_seconds,
            offline_seconds_total=0.0 if shipper is None else shipper.tally.offline_seconds_total,
            drain_events_per_second=(
                0.0 if shipper is None else shipper.tally.drain_events_per_second
            ),
            quota=view_of(parts.leases.counter),
            leases=parts.leases.figures,
            leases_away_seconds=parts.leases.offline_seconds,
        )

    def complete_status(self, status: GetAgentStatusResponse) -> None:
        """Sets the fields of a status that the observer knows."""
        found = self.metrics_input()
        ledger = found.figures.ledger
        oldest_us = found.sample.oldest_kept_time_us
        if oldest_us is not None:
            status.oldest_kept_time.FromMicroseconds(oldest_us)
        status.disk_warn_bytes = found.budget.warn_bytes
        status.disk_refuse_bytes = found.budget.refuse_bytes
        status.counted_count = ledger.counted
        status.duplicate_count = ledger.duplicates
        status.conflict_count = ledger.conflicts
        status.quarantined_count = ledger.quarantined
        status.declared_lost_count = ledger.declared_lost
        status.gap_count = found.figures.gap_count
        status.imbalance_count = found.figures.imbalance
        status.server_incarnation = found.positions.server_incarnation
        if found.figures.offline_since is not None:
            since = Timestamp()
            since.FromDatetime(found.figures.offline_since)
            status.offline_since_time.CopyFrom(since)
        status.slowest_commit_seconds = found.commits.slowest_seconds
        complete_quota(status, found.quota, leases=found.leases)


def _us(instant: datetime) -> int:
    span = instant - _EPOCH
    return (span.days * 86_400 + span.seconds) * _US_PER_SECOND + span.microseconds
