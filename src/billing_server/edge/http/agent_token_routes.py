"""`/v1/agents/{name}/rotate` and `/v1/agents/{name}/revoke`."""

from typing import Any

from fastapi import APIRouter

from billing_server.edge.http.convert import agent_to_json, instant_to_json
from billing_server.edge.http.models import EnrolledAgentAnswer, RevokedAgentAnswer
from billing_server.edge.http.route import ApiRoute, Caller, Context
from billing_server.services.agent_tokens import revoke_agent, rotate_agent_token

router = APIRouter(route_class=ApiRoute)


@router.post("/agents/{name}/rotate", response_model=EnrolledAgentAnswer, tags=["agents"])
def post_rotate(name: str, context: Context, caller: Caller) -> Any:
    """Give an agent another token, shown once; the old one is refused from then on.

    With an `Idempotency-Key` the answer, token included, is kept for repeats for 24 hours.
    """
    rotated = rotate_agent_token(context, name=name, actor=caller)
    return {**agent_to_json(rotated.agent), "token": rotated.token}


@router.post("/agents/{name}/revoke", response_model=RevokedAgentAnswer, tags=["agents"])
def post_revoke(name: str, context: Context, caller: Caller) -> Any:
    """Refuse an agent's token from now on; revoking again changes nothing."""
    agent = revoke_agent(context, name=name, actor=caller)
    return {**agent_to_json(agent), "revoke_time": instant_to_json(agent.revoke_time)}
