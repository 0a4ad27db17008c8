"""`/v1/agents`, `/v1/quarantine`, `/v1/conflicts` and `/v1/clock`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.edge.http.convert import (
    agent_details_to_json,
    agent_report_to_json,
    agent_to_json,
    all_to_json,
    conflict_to_json,
    page_to_json,
    waiting_to_json,
)
from billing_server.edge.http.models import (
    AgentDetailsAnswer,
    AgentReportAnswer,
    ClockAnswer,
    ConflictAnswer,
    EnrolledAgentAnswer,
    ListAnswer,
    QuarantinedEventAnswer,
    RedriveAnswer,
)
from billing_server.edge.http.models_requests import (
    AdvanceClockRequest,
    EnrollAgentRequest,
    RedriveRequest,
)
from billing_server.edge.http.parameters import WantedPage, instant_of
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.agent_reports import list_agent_reports, show_agent
from billing_server.services.enroll_agent import Staying, enroll_agent
from billing_server.services.list_quarantine import list_conflicts, list_quarantine
from billing_server.services.move_clock import ClockReading, advance_clock, read_clock
from billing_server.services.pages import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from billing_server.services.redrive_quarantine import redrive_quarantine
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


@router.get("/quarantine", response_model=ListAnswer[QuarantinedEventAnswer], tags=["usage"])
def get_quarantine(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only that of one customer.")] = None,
) -> Any:
    """List events that were received and are not counted, with the reason."""
    return page_to_json(
        list_quarantine(context, page=page, customer_id=customer), show=waiting_to_json
    )


@router.post("/quarantine/redrive", response_model=RedriveAnswer, tags=["usage"])
def post_redrive(request: RedriveRequest, context: Context) -> Any:
    """Count the waiting events whose reason has gone, each exactly once.

    The server does so by itself when a customer or meter comes.
    """
    redriven = redrive_quarantine(context.store, customer_id=request.customer)
    return {"counted": redriven.counted, "waiting": redriven.waiting}


@router.get("/conflicts", response_model=ListAnswer[ConflictAnswer], tags=["usage"])
def get_conflicts(
    context: Context,
    limit: Annotated[
        int, Query(ge=1, le=PAGE_LIMIT_MAX, description="The newest so many.")
    ] = PAGE_LIMIT_DEFAULT,
) -> Any:
    """List the newest events that came under a used id with other content, newest first."""
    return all_to_json(list_conflicts(context, limit=limit), show=conflict_to_json)


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
