"""Hosts enroll themselves by a join token, each once. Both databases."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.join_tokens import JoinToken
from billing_server.services.agent_tokens import revoke_agent
from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import Staying, enroll_agent
from billing_server.services.join_fleet import join_fleet
from billing_server.services.join_tokens import MadeJoinToken, make_join_token, revoke_join_token
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from metering.errors import AuthenticationError, ValidationError
from tests.billing_server.world import make_context

START = parse_instant("2026-03-01T00:00:00Z")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def context(store: SqlStore, clock: ManualClock) -> ServiceContext:
    return replace(make_context(store), wall_clock=clock)


@pytest.fixture
def made(context: ServiceContext) -> MadeJoinToken:
    return make_join_token(context, fleet="gpu", ttl=timedelta(days=1), agent_count_max=2)


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def join(context: ServiceContext, made: MadeJoinToken, *, secret: str, host: str) -> Agent:
    return join_fleet(context, token=made.token, token_sha256=digest(secret), host_name=host)


def refusal(context: ServiceContext, token: str | None, *, own: str = "mat_x") -> str:
    with pytest.raises(AuthenticationError) as refused:
        join_fleet(context, token=token, token_sha256=digest(own), host_name="host-9")
    return refused.value.reason


def kept(context: ServiceContext, made: MadeJoinToken) -> JoinToken:
    with context.store.read() as unit:
        found = unit.join_tokens.get(made.join_token.join_token_id)
    assert found is not None
    return found


def test_a_host_joins_under_its_own_token(context: ServiceContext, made: MadeJoinToken) -> None:
    with capture_logs() as logs:
        agent = join(context, made, secret="mat_1", host="host-1")
    assert agent.name == "gpu-host-1"
    assert authenticate_agent(context.store, token="mat_1").agent_id == agent.agent_id
    assert not agent.is_ephemeral
    assert kept(context, made).agent_count == 1
    assert [log["event"] for log in logs] == ["agent_joined"]
    with context.store.read() as unit:
        newest = unit.audit.page(before=None, limit=1)[0]
    assert (newest.actor, newest.action, newest.subject, newest.detail) == (
        made.join_token.join_token_id,
        "agent.join",
        "gpu-host-1",
        {"agent": agent.agent_id, "fleet": "gpu"},
    )
    with pytest.raises(AuthenticationError):
        authenticate_agent(context.store, token=made.token)


def test_a_host_that_lost_the_answer_uses_up_no_second_place(
    context: ServiceContext, made: MadeJoinToken, clock: ManualClock
) -> None:
    first = join(context, made, secret="mat_1", host="host-1")
    join(context, made, secret="mat_2", host="host-2")
    # All places are taken, then the token ends in every way: who is in stays in.
    assert join(context, made, secret="mat_1", host="host-1") == first
    clock.advance(timedelta(days=2))
    assert join(context, made, secret="mat_1", host="renamed") == first
    revoke_join_token(context, join_token_id=made.join_token.join_token_id)
    assert join(context, made, secret="mat_1", host="host-1") == first
    assert kept(context, made).agent_count == 2


def test_each_refusal_has_its_reason_and_an_unknown_token_learns_nothing(
    context: ServiceContext, made: MadeJoinToken, clock: ManualClock
) -> None:
    assert refusal(context, None) == "JOIN_TOKEN_MISSING"
    enrolled = enroll_agent(context, name="other")
    unknown = set()
    for token in ("mjt_none", "", made.token[:-1], made.join_token.token_sha256, enrolled.token):
        if token:
            with pytest.raises(AuthenticationError) as refused:
                join_fleet(context, token=token, token_sha256=b"short", host_name="h" * 300)
            unknown.add((refused.value.reason, refused.value.message))
    assert [reason for reason, _ in unknown] == ["JOIN_TOKEN_UNKNOWN"]
    for number in (1, 2):
        join(context, made, secret=f"mat_{number}", host="host")
    assert refusal(context, made.token) == "JOIN_TOKEN_USED_UP"
    clock.advance(timedelta(days=1))
    assert refusal(context, made.token) == "JOIN_TOKEN_EXPIRED"
    revoke_join_token(context, join_token_id=made.join_token.join_token_id)
    assert refusal(context, made.token) == "JOIN_TOKEN_REVOKED"
    assert kept(context, made).agent_count == 2


def test_an_agent_that_was_revoked_does_not_come_back_by_joining_again(
    context: ServiceContext, made: MadeJoinToken
) -> None:
    join(context, made, secret="mat_1", host="host-1")
    revoke_agent(context, name="gpu-host-1")
    assert refusal(context, made.token, own="mat_1") == "AGENT_REVOKED"
    assert kept(context, made).agent_count == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("host-1.internal", "gpu-host-1.internal"),
        ("a b/ü~c", "gpu-a-b-c"),
        ("", "gpu"),
        ("--", "gpu"),
        ("h" * 253, "gpu-" + "h" * 60),
    ],
)
def test_the_name_of_an_agent_is_made_of_the_fleet_and_the_host(
    context: ServiceContext, made: MadeJoinToken, host: str, name: str
) -> None:
    assert join(context, made, secret="mat_1", host=host).name == name
    second = join(context, made, secret="mat_2", host=host).name
    assert second == f"{name[:55]}-{digest('mat_2').hex()[:8]}"
    assert len(second) <= 64


def test_of_hosts_that_want_the_last_places_at_once_no_more_get_in(
    context: ServiceContext, made: MadeJoinToken
) -> None:
    def attempt(number: int) -> str:
        try:
            return join(context, made, secret=f"mat_{number}", host=f"host-{number}").name
        except AuthenticationError as error:
            return error.reason

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(attempt, range(6)))
    assert outcomes.count("JOIN_TOKEN_USED_UP") == 4
    assert kept(context, made).agent_count == 2


def test_calls_of_one_host_at_once_find_one_agent(
    context: ServiceContext, made: MadeJoinToken
) -> None:
    with ThreadPoolExecutor(4) as threads:
        names = list(
            threads.map(lambda _: join(context, made, secret="mat_1", host="host-1").name, range(4))
        )
    assert names == ["gpu-host-1"] * 4
    assert kept(context, made).agent_count == 1


def test_the_agents_of_a_fleet_that_comes_and_goes_do_so(context: ServiceContext) -> None:
    made = make_join_token(
        context,
        fleet="pods",
        ttl=timedelta(days=1),
        agent_count_max=1,
        staying=Staying.EPHEMERAL,
    )
    assert join(context, made, secret="mat_1", host="pod").is_ephemeral


@pytest.mark.parametrize(("size", "host"), [(31, "h"), (33, "h"), (0, "h"), (32, "h" * 254)])
def test_a_malformed_request_is_refused(
    context: ServiceContext, made: MadeJoinToken, size: int, host: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        join_fleet(context, token=made.token, token_sha256=b"x" * size, host_name=host)
    assert refused.value.reason == "JOIN_REQUEST_MALFORMED"
