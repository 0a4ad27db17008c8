"""Agents are shown with what was lost on their way."""

import pytest

from billing_server.domain.ports.agents import DeclaredLoss, LossCause
from billing_server.services.agent_reports import list_agent_reports, show_agent
from billing_server.services.enroll_agent import enroll_agent
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.world import Api, make_context


def test_losses_are_summed_and_the_newest_shown(store: SqlStore) -> None:
    context = make_context(store)
    first = enroll_agent(context, name="host-1").agent
    enroll_agent(context, name="host-2")
    now = context.clock.now()
    with store.write() as unit:
        unit.agents.declare_loss(DeclaredLoss(first.agent_id, 1, 10, now))
        unit.agents.declare_loss(DeclaredLoss(first.agent_id, 21, 25, now, LossCause.DISK_LOST))
    reports = list_agent_reports(context, page=PageRequest(limit=10)).entries
    assert [(each.agent.name, each.lost_count) for each in reports] == [
        ("host-1", 15),
        ("host-2", 0),
    ]
    details = show_agent(context, name=first.agent_id)
    assert details.report == reports[0]
    assert [(each.from_seq, each.event_count, each.cause) for each in details.losses] == [
        (21, 5, LossCause.DISK_LOST),
        (1, 10, LossCause.DECLARED),
    ]
    shown = Api(context).get("/v1/agents/host-1")
    assert (shown["lost_count"], shown["losses"][0]["cause"]) == (15, "disk_lost")
    assert shown["server_incarnation_time"] is None


def test_an_unknown_agent_is_told_where_to_look(store: SqlStore) -> None:
    with pytest.raises(NotFoundError, match="agents list"):
        show_agent(make_context(store), name="nobody")
