"""`/v1/agents` and `/v1/clock`."""

from typing import Any

from fastapi import APIRouter

from billing_server.edge.http.convert import (
    agent_details_to_json,
    agent_report_to_json,
    agent_to_json,
    page_to_json,
)
from billing_server.edge.http.models import (
    AgentDetailsAnswer,
    AgentReportAnswer,
    ClockAnswer,
    EnrolledAgentAnswer,
    ListAnswer,
)
from billing_server.edge.http.models_requests import (
    AdvanceClockRequest,
    EnrollAgentRequest,
)
from billing_server.edge.http.parameters import WantedPage, instant_of
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.agent_reports import list_agent_reports, show_agent
from billing_server.services.enroll_agent import Staying, enroll_agent
from billing_server.services.move_clock import ClockReading, advance_clock, read_clock
from metering.clock import format_instant

router = APIRouter(route_class=ApiRoute)
CREATED = 201


@router.post("/agents", status_code=CREATED, response_model=EnrolledAgentAnswer, tags=["agents"])
def post_agent(request: EnrollAgentRequest, context: Context) -> Any:
    """Enroll an agent. Its token is shown once: only the hash is kept.

    With an `Idempotency-Key` the answer, token included, is kept for repeats for 24 hours.
    """
    staying = Staying.EPHEMERAL if request.is_ephemeral else Staying.LASTING
    enrolled = enroll_agent(context, name=request.name, staying=staying)
    return {**agent_to_json(enrolled.agent), "token": enrolled.token}


@router.get("/agents/{name}", response_model=AgentDetailsAnswer, tags=["agents"])
def get_agent(name: str, context: Context) -> Any:
    """Show an agent by name or id, with its newest losses."""
    return agent_details_to_json(show_agent(context, name=name))


@router.get("/agents", response_model=ListAnswer[AgentReportAnswer], tags=["agents"])
def get_agents(context: Context, page: WantedPage) -> Any:
    """List agents by name, and how far each has shipped."""
    return page_to_json(list_agent_reports(context, page=page), show=agent_report_to_json)


@router.get("/clock", response_model=ClockAnswer, tags=["clock"])
def get_clock(context: Context) -> Any:
    """Show the server's present instant."""
    return _clock_to_json(read_clock(context))


@router.post("/clock/advance", response_model=ClockAnswer, tags=["clock"])
def post_advance(request: AdvanceClockRequest, context: Context) -> Any:
    """Move the clock of a test database; what falls due on the way happens at its own time."""
    return _clock_to_json(advance_clock(context, to=instant_of(request.to, field="to")))


def _clock_to_json(reading: ClockReading) -> dict[str, Any]:
    return {"now": format_instant(reading.now), "is_test_clock": reading.is_test_clock}
