"""How a status looks to a person, and to a program."""

from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from metering.api.v1.agent_pb2 import CustomerLimitStatus, GetAgentStatusResponse, LimitStatus
from metering.clock import format_instant

_KIB: Final = 1024


def to_json(status: GetAgentStatusResponse) -> dict[str, Any]:
    """Returns all fields of a status, unset ones as null, instants as RFC 3339."""
    view: dict[str, Any] = {}
    for field in status.DESCRIPTOR.fields:
        value = getattr(status, field.name)
        if field.is_repeated and field.message_type is not None:
            value = [
                MessageToDict(
                    item,
                    preserving_proto_field_name=True,
                    always_print_fields_with_no_presence=True,
                )
                for item in value
            ]
        elif field.is_repeated:
            value = list(value)
        elif field.message_type is not None:
            value = _instant(status, field.name)
        view[field.name] = value
    return view


def to_text(status: GetAgentStatusResponse, *, now: datetime | None = None) -> str:
    """Returns the status as a table of two columns.

    Args:
        status: As the agent answered.
        now: For ages; the present where None.
    """
    now = datetime.now(UTC) if now is None else now
    oldest = "-"
    if status.HasField("oldest_buffered_time"):
        age = now - status.oldest_buffered_time.ToDatetime(tzinfo=UTC)
        oldest = f"{max(age.total_seconds(), 0):,.1f} s"
    rows = (
        ("agent", status.agent_id or "(no session yet)"),
        ("version", status.version),
        ("running since", _instant(status, "start_time") or "-"),
        ("buffered", f"{status.buffered_event_count:,} events, {_size(status.buffered_bytes)}"),
        ("oldest", oldest),
        ("position", f"next {status.next_seq:,}, applied {status.applied_seq:,}"),
        ("server", _server(status)),
        ("disk", f"{_size(status.disk_used_bytes)} of {_size(status.disk_budget_bytes)}"),
        ("thresholds", _thresholds(status)),
        ("kept since", _instant(status, "oldest_kept_time") or "-"),
        ("slowest commit", f"{status.slowest_commit_seconds * 1000:,.1f} ms"),
        ("since start", f"{status.accepted_count:,} accepted, {status.rejected_count:,} rejected"),
        ("at the server", _at_the_server(status)),
        ("conservation", _conservation(status)),
    )
    refused = (
        (
            "set aside",
            f"{status.refused_event_count:,} events that the server refuses, see the log",
        ),
    )
    shown = (*rows, *(refused if status.refused_event_count else ()), *_quota(status))
    warnings = tuple(("warning", text) for text in status.warnings)
    return "\n".join(f"{name:<14} {value}" for name, value in shown + warnings)


def why_not_drained(status: GetAgentStatusResponse, *, timeout_seconds: float) -> str:
    """Returns why events are still buffered after a drain, and what to do."""
    head = (
        f"{status.buffered_event_count:,} events are still buffered after {timeout_seconds:g} s: "
    )
    if not status.server_address:
        return head + "the agent has no server; start it with --server HOST:PORT"
    if status.last_error:
        return head + status.last_error
    return head + "the server is still taking them; wait longer with --timeout"


def _thresholds(status: GetAgentStatusResponse) -> str:
    return f"warns from {_size(status.disk_warn_bytes)}, refuses from " + _size(
        status.disk_refuse_bytes
    )


def _at_the_server(status: GetAgentStatusResponse) -> str:
    return (
        f"{status.counted_count:,} counted, {status.duplicate_count:,} duplicates, "
        f"{status.conflict_count:,} conflicts, {status.quarantined_count:,} quarantined"
    )


def _conservation(status: GetAgentStatusResponse) -> str:
    told = (
        f"OFF BY {status.imbalance_count:,} EVENTS, see the log"
        if status.imbalance_count
        else "every event is accounted for"
    )
    if status.declared_lost_count:
        told += f"; {status.declared_lost_count:,} declared lost"
    return told


def _server(status: GetAgentStatusResponse) -> str:
    if not status.server_address:
        return "none, buffering only"
    if status.is_server_reachable and not status.last_error:
        return f"{status.server_address}, reachable"
    return f"{status.server_address}, {status.last_error or 'not called yet'}"


def _quota(status: GetAgentStatusResponse) -> tuple[tuple[str, str], ...]:
    """Returns rows of quota; none where it was never asked for."""
    rows = [
        row
        for item in status.limits
        for row in (("limit", _limit(item)), *(("", _busiest(share)) for share in item.busiest))
    ]
    if rows or status.held_reservation_count or status.unsettled_reservation_count:
        told = f"{status.lease_count:,} leases, {status.held_reservation_count:,} reservations held"
        if status.unsettled_reservation_count:
            told += (
                f", {status.unsettled_reservation_count:,} UNSETTLED, see meter-agent reservations"
            )
        rows.insert(0, ("quota", told))
    if status.HasField("leases_offline_since_time"):
        since = _instant(status, "leases_offline_since_time")
        rows.append(("leases", f"spent without the server since {since}"))
    return tuple(rows)


def _busiest(share: CustomerLimitStatus) -> str:
    return (
        f"  {share.customer_id}: granted {share.granted}, consumed {share.consumed}, "
        f"held {share.held}"
    )


def _limit(item: LimitStatus) -> str:
    if not item.enforcement:
        return f"{item.limit_key}: no longer in force; {item.refused_count:,} refused"
    about = f"{item.enforcement}, {item.when_offline} offline"
    if item.unit:
        about += f"; {item.unit}, {item.customer_count:,} customers"
    told = (
        f"{item.limit_key} ({about}): granted "
        f"{item.granted}, consumed {item.consumed}, held {item.held}; {item.refused_count:,} "
        "refused"
    )
    for amount, words in (
        (item.granted_offline, "granted offline"),
        (item.uncovered, "beyond leases"),
        (item.overrun, "beyond reservations"),
    ):
        if amount not in ("", "0"):
            told += f", {amount} {words}"
    return told


def _instant(status: GetAgentStatusResponse, name: str) -> str | None:
    if not status.HasField(name):
        return None
    return format_instant(getattr(status, name).ToDatetime(tzinfo=UTC))


def _size(byte_count: int) -> str:
    if byte_count < _KIB:
        return f"{byte_count} B"
    value, unit = byte_count / _KIB, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{value:,.1f} {unit}"
