"""The metrics as a scraper reads them, from exact numbers."""

from prometheus_client.parser import text_string_to_metric_families

from meter_agent.admin.metrics import (
    MetricsInput,
    MetricsSource,
    metrics_registry,
    render_metrics,
)
from meter_agent.admin.sampler import Sample
from meter_agent.core.conservation import Ledger
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.core.positions import Positions
from meter_agent.edge.call_counters import CallCountersView
from meter_agent.quota.view import QuotaView
from meter_agent.store.commit_times import BOUNDS_SECONDS, CommitTimes
from meter_agent.uplink.lease_state import LeaseFigures
from meter_agent.uplink.tally import UplinkFigures
from tests.meter_agent.support import NOW_US

SECOND_US = 1_000_000


class Source(MetricsSource):
    def metrics_input(self) -> MetricsInput:
        commits = CommitTimes()
        for seconds in (0.001, 0.3, 99.0):
            commits.observe(seconds)
        return MetricsInput(
            version="1.2.3",
            now_us=NOW_US,
            start_us=NOW_US - 60 * SECOND_US,
            is_ready=1,
            positions=Positions(
                disk_id=b"\xab" * 16,
                agent_id="agent-1",
                earliest_kept_seq=5,
                next_seq=31,
                applied_seq=10,
                safe_seq=9,
            ),
            accepted_count=30,
            damaged_count=2,
            kept_bytes=4_000,
            budget=DiskBudget(10_000),
            sample=Sample(
                taken_seconds=1.0,
                buffered_bytes=3_000,
                oldest_buffered_time_us=NOW_US - 90 * SECOND_US,
                oldest_kept_time_us=None,
                disk_used_bytes=8_192,
                disk_free_bytes=1 << 30,
            ),
            sample_age_seconds=0.5,
            calls=CallCountersView(accepted=30, rejected={"R": 3}, refused_calls={"DISK_FULL": 1}),
            commits=commits.view(),
            figures=UplinkFigures(
                ledger=Ledger(1, 2, 3, 4, 5, 6, 7), imbalance=8, gap_count=9, fenced_count=10
            ),
            is_server_reachable=0,
            away_seconds=12.5,
            offline_seconds_total=20.0,
            drain_events_per_second=1.5,
            quota=QuotaView(lease_count=11),
            leases=LeaseFigures(sync_count=12),
            leases_away_seconds=13.0,
        )


def samples() -> dict[tuple[str, str], float]:
    text = render_metrics(metrics_registry(Source())).decode()
    return {
        (sample.name.removeprefix("meter_agent_"), ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_number_is_shown_under_its_name() -> None:
    found = samples()
    expected = {
        ("buffered_events", ""): 20,  # 31 - 1 - 10
        ("buffered_bytes", ""): 3_000,
        ("buffered_oldest_age_seconds", ""): 90,
        ("kept_oldest_age_seconds", ""): 0,
        ("applied_position", ""): 10,
        ("safe_position", ""): 9,
        ("earliest_kept_position", ""): 5,
        ("disk_warn_bytes", ""): 7_000,
        ("disk_refuse_bytes", ""): 9_500,
        ("events_accepted_total", ""): 30,
        ("events_rejected_total", "R"): 3,
        ("calls_refused_total", "DISK_FULL"): 1,
        ("leases", ""): 11,
        ("lease_syncs_total", ""): 12,
        ("leases_offline_seconds", ""): 13,
        ("events_carried_over", ""): 1,
        ("events_taken_back_total", ""): 2,
        ("events_acked_total", "counted"): 3,
        ("events_acked_total", "duplicate"): 4,
        ("events_acked_total", "conflict"): 5,
        ("events_acked_total", "quarantined"): 6,
        ("events_declared_lost_total", ""): 7,
        ("events_damaged", ""): 2,
        ("conservation_imbalance_events", ""): 8,
        ("push_gaps_total", ""): 9,
        ("pushes_fenced_total", ""): 10,
        ("server_away_seconds", ""): 12.5,
        ("server_offline_seconds_total", ""): 20,
        ("drain_events_per_second", ""): 1.5,
        ("start_time_seconds", ""): NOW_US // SECOND_US - 60,
    }
    assert {key: found[key] for key in expected} == expected


def test_the_histogram_of_commits_is_cumulative() -> None:
    found = samples()
    buckets = [found["commit_seconds_bucket", str(bound)] for bound in BOUNDS_SECONDS]
    # 1 ms lies in its own bucket, 0.3 s below 0.5 s, 99 s above every bound.
    assert buckets == [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert found["commit_seconds_bucket", "+Inf"] == 3
    assert found["commit_seconds_count", ""] == 3
    assert found["commit_slowest_seconds", ""] == 99.0
