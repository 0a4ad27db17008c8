"""Join tokens are made, listed and revoked. Both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import Staying
from billing_server.services.join_tokens import (
    list_join_tokens,
    make_join_token,
    revoke_join_token,
)
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from metering.errors import NotFoundError, ValidationError
from tests.billing_server.world import make_context

DAY = timedelta(days=1)


@pytest.fixture
def context(store: SqlStore) -> ServiceContext:
    wall_clock = ManualClock(parse_instant("2026-03-01T00:00:00Z"))
    return replace(make_context(store), wall_clock=wall_clock)


def test_a_join_token_is_shown_once_and_kept_as_its_hash(context: ServiceContext) -> None:
    with capture_logs() as logs:
        made = make_join_token(
            context,
            fleet="gpu",
            ttl=30 * DAY,
            agent_count_max=100,
            staying=Staying.EPHEMERAL,
            actor="anna",
        )
    (kept,) = list_join_tokens(context, page=PageRequest()).entries
    assert kept == made.join_token
    assert kept.expire_time == parse_instant("2026-03-31T00:00:00Z")
    assert (kept.fleet, kept.agent_count_max, kept.agent_count) == ("gpu", 100, 0)
    assert kept.is_ephemeral
    assert made.token.startswith("mjt_")
    assert made.token not in repr(kept) + str(logs)


def test_making_and_revoking_are_audited_once(context: ServiceContext) -> None:
    made = make_join_token(context, fleet="gpu", ttl=DAY, agent_count_max=2, actor="anna")
    join_token_id = made.join_token.join_token_id
    revoked = revoke_join_token(context, join_token_id=join_token_id, actor="ben")
    again = revoke_join_token(context, join_token_id=join_token_id, actor="ben")
    assert again == revoked
    assert revoked.revoke_time == parse_instant("2026-03-01T00:00:00Z")
    with context.store.read() as unit:
        entries = unit.audit.page(before=None, limit=9)
    assert [(each.actor, each.action, each.subject, each.detail) for each in entries] == [
        ("ben", "join_token.revoke", join_token_id, {"fleet": "gpu", "joined": 0}),
        ("anna", "join_token.make", join_token_id, {"fleet": "gpu", "max_agents": 2}),
    ]
    assert made.token not in str(entries)


@pytest.mark.parametrize(
    ("fleet", "ttl", "count", "reason"),
    [
        ("", DAY, 1, "FLEET_NAME_MALFORMED"),
        ("a b", DAY, 1, "FLEET_NAME_MALFORMED"),
        ("a" * 33, DAY, 1, "FLEET_NAME_MALFORMED"),
        ("gpu", timedelta(seconds=59), 1, "JOIN_TOKEN_OUT_OF_RANGE"),
        ("gpu", 367 * DAY, 1, "JOIN_TOKEN_OUT_OF_RANGE"),
        ("gpu", DAY, 0, "JOIN_TOKEN_OUT_OF_RANGE"),
        ("gpu", DAY, 100_001, "JOIN_TOKEN_OUT_OF_RANGE"),
    ],
)
def test_what_is_out_of_range_is_refused(
    context: ServiceContext, fleet: str, ttl: timedelta, count: int, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        make_join_token(context, fleet=fleet, ttl=ttl, agent_count_max=count)
    assert refused.value.reason == reason


def test_an_id_that_is_not_there_is_told(context: ServiceContext) -> None:
    with pytest.raises(NotFoundError) as refused:
        revoke_join_token(context, join_token_id="jtk_none")
    assert refused.value.reason == "JOIN_TOKEN_ID_UNKNOWN"
