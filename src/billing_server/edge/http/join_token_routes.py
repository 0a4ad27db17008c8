"""`/v1/join-tokens`: tokens by which the hosts of a fleet enroll themselves."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter

from billing_server.domain.ports.join_tokens import JoinToken
from billing_server.edge.http.convert import instant_to_json, page_to_json
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_join_tokens import (
    JoinTokenAnswer,
    MadeJoinTokenAnswer,
    MakeJoinTokenRequest,
)
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Caller, Context
from billing_server.services.enroll_agent import Staying
from billing_server.services.join_tokens import (
    list_join_tokens,
    make_join_token,
    revoke_join_token,
)
from metering.errors import ValidationError

router = APIRouter(route_class=ApiRoute)
CREATED = 201


@router.post(
    "/join-tokens", status_code=CREATED, response_model=MadeJoinTokenAnswer, tags=["agents"]
)
def post_join_token(request: MakeJoinTokenRequest, context: Context, caller: Caller) -> Any:
    """Make a token that each host of a fleet exchanges for its own. It is shown once.

    With an `Idempotency-Key` the answer, token included, is kept for repeats for 24 hours.
    """
    made = make_join_token(
        context,
        fleet=request.fleet,
        ttl=_seconds(request.ttl_seconds),
        agent_count_max=request.max_agents,
        staying=Staying.EPHEMERAL if request.is_ephemeral else Staying.LASTING,
        actor=caller,
    )
    return {**_shown(context, made.join_token), "token": made.token}


@router.get("/join-tokens", response_model=ListAnswer[JoinTokenAnswer], tags=["agents"])
def get_join_tokens(context: Context, page: WantedPage) -> Any:
    """List join tokens, those that let nobody in any longer included."""
    found = list_join_tokens(context, page=page)
    return page_to_json(found, show=lambda each: _shown(context, each))


@router.post("/join-tokens/{join_token_id}/revoke", response_model=JoinTokenAnswer, tags=["agents"])
def post_revoke_join_token(join_token_id: str, context: Context, caller: Caller) -> Any:
    """Let nobody join by a token from now on; its agents stay. Again, it changes nothing."""
    revoked = revoke_join_token(context, join_token_id=join_token_id, actor=caller)
    return _shown(context, revoked)


def _shown(context: Context, join_token: JoinToken) -> dict[str, Any]:
    return {
        "id": join_token.join_token_id,
        "fleet": join_token.fleet,
        "create_time": instant_to_json(join_token.create_time),
        "expire_time": instant_to_json(join_token.expire_time),
        "revoke_time": instant_to_json(join_token.revoke_time),
        "max_agents": join_token.agent_count_max,
        "joined": join_token.agent_count,
        "is_ephemeral": join_token.is_ephemeral,
        "state": _state(join_token, now=context.wall_clock.now()),
    }


def _state(join_token: JoinToken, *, now: datetime) -> str:
    return "open" if (closed := join_token.closed(now)) is None else closed.value


def _seconds(count: int) -> timedelta:
    try:
        return timedelta(seconds=count)
    except OverflowError:
        raise ValidationError(
            reason="JOIN_TOKEN_OUT_OF_RANGE", message=f"ttl_seconds: {count} is too many"
        ) from None
