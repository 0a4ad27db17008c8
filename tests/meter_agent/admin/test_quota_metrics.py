"""Quota as a scraper reads it: by limit, in its unit, never by customer."""

from meter_agent.admin.quota_metrics import quota_families
from meter_agent.quota.view import LimitView, QuotaView
from meter_agent.uplink.lease_state import LeaseFigures

VIEW = QuotaView(
    limits=(
        LimitView(
            limit_key="spend",
            unit="USD",
            decimals=6,
            granted=1_500_000,
            consumed=250_000,
            held=1_000,
            granted_offline=2_000_000,
            exceeded_count=3,
            uncovered=4_000_000,
            overrun=5_000_000,
        ),
    ),
    lease_count=2,
    held_count=3,
    unsettled_count=4,
    refused={("spend", "LIMIT_REACHED"): 5},
    decided={"granted": 6},
    ended={"in_time": 7},
    expired_total=8,
    billed_on_expiry_total=1,
)


def test_every_number_is_shown_under_its_name() -> None:
    figures = LeaseFigures(sync_count=9, ask_count=10, failure_count=11)
    found = {
        (sample.name.removeprefix("meter_agent_"), ",".join(sample.labels.values())): sample.value
        for family in quota_families(VIEW, figures, offline_seconds=1.5)
        for sample in family.samples
    }
    assert found == {
        ("lease_granted", "spend,USD"): 1.5,
        ("lease_consumed", "spend,USD"): 0.25,
        ("lease_held", "spend,USD"): 0.001,
        ("limit_granted_offline_total", "spend,USD"): 2,
        ("limit_uncovered_total", "spend,USD"): 4,
        ("limit_overrun_total", "spend,USD"): 5,
        ("quota_refused_total", "spend,LIMIT_REACHED"): 5,
        ("limit_exceeded_total", "spend,USD"): 3,
        ("quota_decisions_total", "granted"): 6,
        ("leases", ""): 2,
        ("reservations_held", ""): 3,
        ("reservations_unsettled", ""): 4,
        ("reservations_ended_total", "in_time"): 7,
        ("reservations_expired_total", ""): 8,
        ("reservations_billed_on_expiry_total", ""): 1,
        ("lease_syncs_total", ""): 9,
        ("lease_asks_total", ""): 10,
        ("lease_failures_total", ""): 11,
        ("leases_offline_seconds", ""): 1.5,
    }
