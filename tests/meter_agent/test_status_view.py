"""How a status looks to a person and to a program."""

from datetime import timedelta

from meter_agent import status_view
from meter_agent.uplink.mapping import timestamp_from_us
from metering.api.v1.agent_pb2 import GetAgentStatusResponse
from tests.meter_agent.support import NOW, NOW_US

STATUS = GetAgentStatusResponse(
    agent_id="agent-1",
    disk_id="ab",
    version="0.1.0",
    start_time=timestamp_from_us(NOW_US),
    buffered_event_count=12_345,
    buffered_bytes=1_572_864,
    oldest_buffered_time=timestamp_from_us(NOW_US),
    next_seq=20_001,
    applied_seq=7_655,
    server_address="billing:4280",
    is_server_reachable=True,
    disk_used_bytes=500,
    disk_budget_bytes=1 << 30,
    accepted_count=20_000,
    rejected_count=3,
    disk_warn_bytes=700 << 20,
    disk_refuse_bytes=950 << 20,
    oldest_kept_time=timestamp_from_us(NOW_US),
    counted_count=7_600,
    duplicate_count=40,
    conflict_count=5,
    quarantined_count=10,
    slowest_commit_seconds=0.0125,
)


def test_a_program_gets_every_field_and_null_for_what_is_unset() -> None:
    view = status_view.to_json(STATUS)
    assert set(view) == {field.name for field in STATUS.DESCRIPTOR.fields}
    assert view["buffered_event_count"] == 12_345
    assert view["oldest_buffered_time"] == "2026-03-10T12:00:00Z"
    empty = status_view.to_json(GetAgentStatusResponse())
    assert empty["oldest_buffered_time"] is None


def test_a_person_gets_a_table() -> None:
    text = status_view.to_text(STATUS, now=NOW + timedelta(seconds=90))
    rows = {line[:14].strip(): line[15:] for line in text.splitlines()}
    assert rows["buffered"] == "12,345 events, 1.5 MiB"
    assert rows["oldest"] == "90.0 s"
    assert rows["position"] == "next 20,001, applied 7,655"
    assert rows["server"] == "billing:4280, reachable"
    assert rows["disk"] == "500 B of 1.0 GiB"
    assert rows["since start"] == "20,000 accepted, 3 rejected"
    assert rows["thresholds"] == "warns from 700.0 MiB, refuses from 950.0 MiB"
    assert rows["kept since"] == "2026-03-10T12:00:00Z"
    assert rows["slowest commit"] == "12.5 ms"
    assert rows["at the server"] == "7,600 counted, 40 duplicates, 5 conflicts, 10 quarantined"
    assert rows["conservation"] == "every event is accounted for"
    assert "set aside" not in rows
    assert "\nset aside      2 events" in status_view.to_text(
        GetAgentStatusResponse(refused_event_count=2), now=NOW
    )
    fresh = status_view.to_text(GetAgentStatusResponse(), now=NOW)
    assert "(no session yet)" in fresh
    assert "none, buffering only" in fresh


def test_a_broken_line_and_a_loss_cannot_be_overlooked() -> None:
    status = GetAgentStatusResponse(imbalance_count=1_200, declared_lost_count=6)
    text = status_view.to_text(status, now=NOW)
    assert "conservation   OFF BY 1,200 EVENTS, see the log; 6 declared lost" in text


def test_a_drain_that_did_not_end_says_why() -> None:
    def why(**fields: object) -> str:
        status = GetAgentStatusResponse(buffered_event_count=5, **fields)
        return status_view.why_not_drained(status, timeout_seconds=3.0)

    assert why().startswith("5 events are still buffered after 3 s: ")
    assert "--server" in why()
    assert why(server_address="s:1", last_error="it is away").endswith("it is away")
    assert "--timeout" in why(server_address="s:1")


def test_warnings_stand_below_and_are_a_list_for_programs() -> None:
    status = GetAgentStatusResponse(warnings=["DISK_FULL: free some space", "B: c"])
    assert status_view.to_text(status).splitlines()[-2:] == [
        "warning        DISK_FULL: free some space",
        "warning        B: c",
    ]
    assert status_view.to_json(status)["warnings"] == ["DISK_FULL: free some space", "B: c"]
    assert status_view.to_json(GetAgentStatusResponse())["warnings"] == []


def test_quota_is_shown_where_there_is_any() -> None:
    status = GetAgentStatusResponse()
    assert "quota" not in status_view.to_text(status, now=NOW)
    status.lease_count, status.held_reservation_count = 2, 1
    status.unsettled_reservation_count = 3
    status.leases_offline_since_time.CopyFrom(timestamp_from_us(NOW_US))
    daily = status.limits.add(limit_key="daily", enforcement="hard", when_offline="closed")
    daily.granted, daily.consumed, daily.held = "100", "60", "7"
    daily.uncovered, daily.overrun, daily.granted_offline = "5", "0", ""
    daily.refused_count = 4
    spend = status.limits.add(limit_key="spend", enforcement="hard, soft", when_offline="open")
    spend.unit, spend.customer_count, spend.granted = "USD", 1_200, "5"
    spend.busiest.add(customer_id="acme", granted="4", consumed="3", held="1")
    status.limits.add(limit_key="gone", refused_count=1)
    text = status_view.to_text(status, now=NOW)
    assert "2 leases, 1 reservations held, 3 UNSETTLED, see meter-agent reservations" in text
    assert (
        "daily (hard, closed offline): granted 100, consumed 60, held 7; 4 refused, 5 beyond leases"
        in text
    )
    assert "spend (hard, soft, open offline; USD, 1,200 customers): granted 5," in text
    assert "acme: granted 4, consumed 3, held 1" in text
    assert "gone: no longer in force; 1 refused" in text
    assert "spent without the server since 2026-03-10T12:00:00Z" in text
    assert status_view.to_json(status)["limits"][0]["held"] == "7"
