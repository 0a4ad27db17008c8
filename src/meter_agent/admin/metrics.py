"""The metrics of protocol section 8, gathered anew for each scrape from what lies in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from meter_agent.admin.quota_metrics import quota_families
from meter_agent.admin.sampler import Sample
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.core.positions import Positions
from meter_agent.edge.call_counters import CallCountersView
from meter_agent.quota.view import QuotaView
from meter_agent.store.commit_times import BOUNDS_SECONDS, CommitTimesView
from meter_agent.uplink.lease_state import LeaseFigures
from meter_agent.uplink.tally import UplinkFigures

PREFIX: Final = "meter_agent_"
_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MetricsInput:
    """Everything that is shown, taken at one moment. Nothing of it waits for the disk."""

    version: str
    """Of the program."""
    now_us: int
    """The agent's clock, microseconds since 1970 UTC."""
    start_us: int
    """When the process started."""
    is_ready: int
    """1 where the agent takes events, else 0."""
    positions: Positions
    """The place in the stream."""
    accepted_count: int
    """Events made durable since the process started."""
    damaged_count: int
    """Events that waited and were lost to damage of the disk since then."""
    kept_bytes: int
    """Bytes of events on disk."""
    budget: DiskBudget
    """Bounds of `kept_bytes`."""
    sample: Sample
    """The disk."""
    sample_age_seconds: float
    """Age of the sample."""
    calls: CallCountersView
    """What became of callers' events."""
    commits: CommitTimesView
    """How long commits took."""
    figures: UplinkFigures
    """What the server did."""
    is_server_reachable: int
    """1 where the last call to the server was answered, else 0."""
    away_seconds: float
    """How long the server has not answered by now."""
    offline_seconds_total: float
    """All time offline since the process started."""
    drain_events_per_second: float
    """Over the last minute."""
    quota: QuotaView
    """Limits, leases and reservations."""
    leases: LeaseFigures
    """The lease side of the uplink."""
    leases_away_seconds: float
    """How long the lease side has not been answered by now."""


class MetricsSource:
    """Gathers what is shown; the bootstrap knows the parts."""

    def metrics_input(self) -> MetricsInput:
        """Returns what is shown now."""
        raise NotImplementedError


class AgentCollector(Collector):
    """Turns what is shown into metric families.

    Args:
        source: Gathers what is shown.
    """

    def __init__(self, source: MetricsSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Yields every family once."""
        found = self._source.metrics_input()
        yield _info(found)
        yield from _buffer(found)
        yield from _disk(found)
        yield from _commits(found.commits)
        yield from _calls(found)
        yield from _uplink(found)
        yield from _conservation(found)
        yield from quota_families(
            found.quota, found.leases, offline_seconds=found.leases_away_seconds
        )


def metrics_registry(source: MetricsSource) -> CollectorRegistry:
    """Returns a registry of the agent's metrics and of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(source))
    ProcessCollector(registry=registry)
    return registry


def render_metrics(registry: CollectorRegistry) -> bytes:
    """Returns all metrics in the text format."""
    return generate_latest(registry)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counter_by(
    name: str, text: str, *, label: str, values: Iterable[tuple[str, int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for value, count in values:
        family.add_metric([value], count)
    return family


def _sorted(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items())


def _age_seconds(found: MetricsInput, time_us: int | None) -> float:
    if time_us is None:
        return 0.0
    return max(0, found.now_us - time_us) / _US_PER_SECOND


def _info(found: MetricsInput) -> Metric:
    identity = {
        "version": found.version,
        "agent_id": found.positions.agent_id,
        "disk_id": found.positions.disk_id.hex(),
        "server_incarnation": found.positions.server_incarnation,
    }
    return InfoMetricFamily(f"{PREFIX}build", "The agent and whom it talks to.", value=identity)


def _buffer(found: MetricsInput) -> Iterator[Metric]:
    positions, sample = found.positions, found.sample
    yield _gauge("ready", "1 where the agent takes events, else 0.", found.is_ready)
    yield _gauge("start_time_seconds", "When the process started.", found.start_us / _US_PER_SECOND)
    yield _gauge("buffered_events", "Events that wait for the server.", positions.buffered_count)
    yield _gauge("buffered_bytes", "Bytes of the blocks that wait.", sample.buffered_bytes)
    yield _gauge(
        "buffered_oldest_age_seconds",
        "Age of the oldest event that waits; 0 where none does.",
        _age_seconds(found, sample.oldest_buffered_time_us),
    )
    yield _gauge("next_position", "Position that the next event gets.", positions.next_seq)
    yield _gauge("applied_position", "Highest position applied.", positions.applied_seq)
    yield _gauge("safe_position", "Highest position that is safe.", positions.safe_seq)
    yield _gauge("earliest_kept_position", "Lowest position kept.", positions.earliest_kept_seq)


def _disk(found: MetricsInput) -> Iterator[Metric]:
    sample = found.sample
    yield _gauge("kept_bytes", "Bytes of events on disk, applied or not.", found.kept_bytes)
    yield _gauge(
        "kept_oldest_age_seconds",
        "Age of the oldest event on disk; 0 where there is none.",
        _age_seconds(found, sample.oldest_kept_time_us),
    )
    yield _gauge("disk_budget_bytes", "Bytes that events may take.", found.budget.bytes_max)
    yield _gauge("disk_warn_bytes", "Bytes from which it warns.", found.budget.warn_bytes)
    yield _gauge("disk_refuse_bytes", "Bytes from which it refuses.", found.budget.refuse_bytes)
    yield _gauge("disk_used_bytes", "Bytes of the database and its log.", sample.disk_used_bytes)
    yield _gauge("disk_free_bytes", "Bytes free on the file system.", sample.disk_free_bytes)
    yield _gauge(
        "disk_sample_age_seconds",
        "Age of the last look at the disk; it grows while the disk hangs.",
        found.sample_age_seconds,
    )


def _commits(view: CommitTimesView) -> Iterator[Metric]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), view.bucket_counts, strict=True):
        total += count
        buckets.append((bound, total))
    yield HistogramMetricFamily(
        f"{PREFIX}commit_seconds",
        "How long commits took.",
        buckets=buckets,
        sum_value=view.sum_seconds,
    )
    yield _gauge(
        "commit_slowest_seconds", "The slowest commit since the start.", view.slowest_seconds
    )
    yield _gauge(
        "commit_running_seconds",
        "How long the commit that runs now has taken; 0 where none runs.",
        view.running_seconds,
    )
    yield _counter("commit_failures", "Commits that failed.", view.failed_count)


def _calls(found: MetricsInput) -> Iterator[Metric]:
    yield _counter("events_accepted", "Events made durable.", found.accepted_count)
    yield _counter_by(
        "events_rejected",
        "Events refused alone, by reason.",
        label="reason",
        values=_sorted(found.calls.rejected),
    )
    yield _counter_by(
        "calls_refused",
        "Calls refused as a whole, by reason: their callers send them again.",
        label="reason",
        values=_sorted(found.calls.refused_calls),
    )


def _uplink(found: MetricsInput) -> Iterator[Metric]:
    figures = found.figures
    yield _gauge(
        "server_reachable", "1 where the last call was answered.", found.is_server_reachable
    )
    yield _gauge(
        "server_away_seconds",
        "How long the server has not answered; 0 where it has.",
        found.away_seconds,
    )
    yield _counter("server_offline_seconds", "All time offline.", found.offline_seconds_total)
    yield _gauge(
        "drain_events_per_second",
        "Events acked a second over the last minute.",
        found.drain_events_per_second,
    )
    yield _counter("uplink_failures", "Calls to the server that failed.", figures.failure_count)
    yield _counter("sessions", "Sessions opened.", figures.session_count)
    yield _counter("pushes", "Pushes applied.", figures.push_count)
    yield _counter("push_gaps", "Pushes that would have left a hole.", figures.gap_count)
    yield _counter("pushes_fenced", "Pushes of an older session.", figures.fenced_count)
    yield _counter(
        "server_incarnation_changes",
        "Times the server came back as another incarnation: restored from a backup.",
        figures.incarnation_change_count,
    )


def _conservation(found: MetricsInput) -> Iterator[Metric]:
    ledger = found.figures.ledger
    yield _counter_by(
        "events_acked",
        "Events acked by the server, by what became of them.",
        label="result",
        values=(
            ("counted", ledger.counted),
            ("duplicate", ledger.duplicates),
            ("conflict", ledger.conflicts),
            ("quarantined", ledger.quarantined),
        ),
    )
    yield _counter(
        "events_declared_lost", "Events lost to the server for good.", ledger.declared_lost
    )
    yield _gauge(
        "events_damaged",
        "Events that waited and were lost to damage of the disk.",
        found.damaged_count,
    )
    yield _counter(
        "events_taken_back",
        "Acked events that the server no longer had: sent again, or declared lost.",
        ledger.taken_back,
    )
    yield _gauge(
        "events_carried_over", "Events that waited when the process started.", ledger.carried_over
    )
    yield _gauge(
        "conservation_imbalance_events",
        "By how many events the conservation line was off at the last ack; 0 where it holds.",
        found.figures.imbalance,
    )
