"""Denials as an exception: whose limit, what is left, when it begins anew."""

import pickle
from datetime import UTC, datetime
from decimal import Decimal

from metering import OnAgentUnavailable, QuotaDenied
from metering.api.v1.agent_pb2 import QuotaDenial
from metering.client.quota import AGENT_UNAVAILABLE, denied_from_proto, denied_without_agent
from metering.errors import ErrorKind


def test_a_denial_names_the_limit_what_is_left_and_when_it_begins_anew() -> None:
    denial = QuotaDenial(
        limit_key="tokens-a-day",
        remaining={"output_tokens": "12.5"},
        reason="LIMIT_REACHED",
        message="no more tokens today",
    )
    denial.reset_time.FromDatetime(datetime(2026, 3, 11, tzinfo=UTC))
    error = denied_from_proto(denial)
    assert (error.limit_key, error.reason, error.message) == (
        "tokens-a-day",
        "LIMIT_REACHED",
        "no more tokens today",
    )
    assert error.remaining == {"output_tokens": Decimal("12.5")}
    assert error.reset_time == datetime(2026, 3, 11, tzinfo=UTC)
    assert error.kind is ErrorKind.QUOTA_EXCEEDED


def test_a_denial_without_words_still_says_something() -> None:
    error = denied_from_proto(QuotaDenial(limit_key="in-flight"))
    assert (error.reason, error.message, error.reset_time) == (
        "LIMIT_REACHED",
        "the limit in-flight refused",
        None,
    )


def test_without_an_agent_the_message_says_what_to_do() -> None:
    error = denied_without_agent("127.0.0.1:4270", why="connection refused")
    assert (error.reason, error.limit_key) == (AGENT_UNAVAILABLE, "")
    assert "127.0.0.1:4270 (connection refused)" in error.message
    assert "OnAgentUnavailable.ALLOW" in error.message
    assert [policy.value for policy in OnAgentUnavailable] == ["allow", "deny"]


def test_a_denial_crosses_a_process_border() -> None:
    error = QuotaDenied(
        reason="LIMIT_REACHED", message="no", limit_key="k", remaining={"a": Decimal(1)}
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.limit_key, copy.remaining, copy.reason) == ("k", {"a": Decimal(1)}, error.reason)
