"""Domain values as the JSON of the API."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from billing_server.domain.ports.agents import Agent
from billing_server.domain.subscription.history import history_to_dict
from billing_server.domain.subscription.model import Subscription
from billing_server.services.agent_reports import AgentDetails, AgentReport
from billing_server.services.list_quarantine import ConflictingEvent, WaitingEvent
from billing_server.services.pages import Page
from metering.clock import format_instant
from metering.period import Period

Entry = TypeVar("Entry")


def page_to_json(page: Page[Entry], *, show: Callable[[Entry], Any]) -> dict[str, Any]:
    """Return a page of a list."""
    return {"data": [show(entry) for entry in page.entries], "next_cursor": page.next_cursor}


def all_to_json(entries: tuple[Entry, ...], *, show: Callable[[Entry], Any]) -> dict[str, Any]:
    """Return a list that has one page only."""
    return page_to_json(Page(entries, None), show=show)


def instant_to_json(instant: datetime | None) -> str | None:
    """Return an instant as RFC 3339 text."""
    return None if instant is None else format_instant(instant)


def period_to_json(period: Period) -> dict[str, str]:
    """Return a span of time."""
    return {"start": format_instant(period.start), "end": format_instant(period.end)}


def subscription_to_json(
    subscription: Subscription,
    *,
    now: datetime,
    current: Period | None,
    rating_failed_reason: str | None,
) -> dict[str, Any]:
    """Return a subscription with the period that runs now, and why it is not rated if so."""
    return {
        "id": subscription.id,
        "customer": subscription.customer_id,
        "plan": subscription.plan_key,
        "plan_version": subscription.version_at(now),
        "start": format_instant(subscription.start),
        "end": instant_to_json(subscription.end),
        "anchor": instant_to_json(subscription.anchor),
        "current_period": None if current is None else period_to_json(current),
        "quantities": {key: int(value) for key, value in sorted(subscription.quantities.items())},
        "changes": history_to_dict(subscription),
        "rating_failed_reason": rating_failed_reason,
    }


def agent_to_json(agent: Agent) -> dict[str, Any]:
    """Return an agent, without anything secret."""
    return {
        "id": agent.agent_id,
        "name": agent.name,
        "session_no": agent.session_no,
        "applied_seq": agent.applied_seq,
        "last_seen": instant_to_json(agent.last_seen),
        "oldest_unshipped_event_time": instant_to_json(agent.oldest_unshipped_event_time),
        "version": agent.agent_version,
        "create_time": format_instant(agent.create_time),
    }


def agent_report_to_json(report: AgentReport) -> dict[str, Any]:
    """Return an agent with what it lost."""
    return {
        **agent_to_json(report.agent),
        "disk_id": (report.agent.disk_id or b"").hex(),
        "reported_unshipped_count": report.agent.reported_unshipped_count,
        "lost_count": report.lost_count,
    }


def agent_details_to_json(details: AgentDetails) -> dict[str, Any]:
    """Return an agent with its newest losses."""
    return {
        **agent_report_to_json(details.report),
        "losses": [
            {
                "from_seq": loss.from_seq,
                "to_seq": loss.to_seq,
                "event_count": loss.event_count,
                "declare_time": format_instant(loss.declare_time),
                "cause": loss.cause.value,
            }
            for loss in details.losses
        ],
        "server_incarnation": details.incarnation,
        "server_incarnation_time": instant_to_json(details.incarnation_time),
    }


def waiting_to_json(event: WaitingEvent) -> dict[str, Any]:
    """Return a quarantined event."""
    return {
        "event_id": event.event_id,
        "customer": event.customer_id,
        "event_time": format_instant(event.event_time),
        "receive_time": format_instant(event.receive_time),
        "reason": event.reason,
        "detail": event.detail,
        "quantities": dict(event.quantities),
        "dimensions": dict(event.dimensions),
    }


def conflict_to_json(event: ConflictingEvent) -> dict[str, Any]:
    """Return a conflict."""
    return {
        "event_id": event.event_id,
        "customer": event.customer_id,
        "receive_time": format_instant(event.receive_time),
        "detect_time": format_instant(event.detect_time),
        "quantities": dict(event.quantities),
        "dimensions": dict(event.dimensions),
    }
