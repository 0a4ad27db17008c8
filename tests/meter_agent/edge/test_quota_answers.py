"""Answers for quota as callers see them: what is left, until when, and words that help."""

from dataclasses import replace
from decimal import Decimal

import pytest

from meter_agent.core.quota.decide import Denial, DenialReason, QuotaDecision, Verdict
from meter_agent.core.quota.reservation import Content, Reservation
from meter_agent.core.quota.terms import LimitTerms
from meter_agent.edge import quota_answers as answers
from meter_agent.quota.answers import Denied, Ended, Granted, Passed
from metering.api.v1 import agent_pb2
from metering.api.v1.usage_pb2 import SETTLEMENT_KIND_LATE
from metering.limits import LimitKind
from tests.meter_agent.quota.world import HandClock

CLOCK = HandClock()
LIMIT = LimitTerms(
    limit_key="tokens-a-day",
    kind=LimitKind.UNITS,
    quantity="output",
    decimals=2,
    max=100_000,
    remaining=500,
)
RESERVATION = Reservation(
    customer_id="acme",
    reservation_id="r-1",
    content=Content(),
    granted={"output": Decimal("10.0")},
    expires_at_us=CLOCK.time_us + 120_000_000,
)
DENIAL = Denial("tokens-a-day", DenialReason.LIMIT_REACHED, 25)


def test_a_grant_says_how_much_and_how_long() -> None:
    answer = answers.reserve_to_proto(Granted(RESERVATION, is_partial=False), clock=CLOCK)
    assert answer.decision == agent_pb2.DECISION_GRANTED
    assert dict(answer.granted) == {"output": "10"}
    assert answer.expire_time.ToMicroseconds() == CLOCK.wall_us() + 120_000_000
    partial = answers.extend_to_proto(Granted(RESERVATION, is_partial=True), clock=CLOCK)
    assert partial.decision == agent_pb2.DECISION_GRANTED_PARTIALLY


def test_a_denial_tells_what_is_left_here_and_at_the_server_and_until_when() -> None:
    # What is left of the window was told some ms ago: the end is the whole second next to it.
    limit = replace(LIMIT, window_ends_at_us=CLOCK.time_us + 59_997_000)
    answer = answers.reserve_to_proto(Denied(Passed(DENIAL, limit)), clock=CLOCK)
    assert answer.decision == agent_pb2.DECISION_DENIED
    assert dict(answer.denial.remaining) == {"output": "5.25"}
    assert answer.denial.reset_time.ToMicroseconds() == CLOCK.wall_us() + 60_000_000
    assert answer.denial.retry_after.seconds == 59
    assert answer.denial.message.startswith(
        "limit tokens-a-day of 1000 output: 5.25 left; it begins anew at 2026-"
    )


@pytest.mark.parametrize(
    ("reason", "limit", "words"),
    [
        (DenialReason.CUSTOMER_UNKNOWN, None, "knows no such customer"),
        (DenialReason.SERVER_AWAY, None, "are not known on this host"),
        (DenialReason.SERVER_AWAY, LIMIT, "1000 output: 0.25 left on this host, and the billing"),
        (DenialReason.PRICE_NOT_ESTIMABLE, LIMIT, "estimate_unit_price"),
        (DenialReason.LIMIT_REACHED, LIMIT, "5.25 left"),
    ],
)
def test_the_words_say_what_to_do(
    reason: DenialReason, limit: LimitTerms | None, words: str
) -> None:
    key = "" if limit is None else limit.limit_key
    denial = answers.denial_to_proto(Passed(Denial(key, reason, 25), limit), clock=CLOCK)
    assert words in denial.message
    assert (denial.reason, denial.limit_key) == (reason.value, key)


def test_a_refusal_of_a_rate_tells_its_bucket_and_when_there_is_enough() -> None:
    rate = replace(LIMIT, kind=LimitKind.RATE, limit_key="rpm", remaining=LIMIT.max)
    waits = Denial("rpm", DenialReason.LIMIT_REACHED, 25, 1_210_000)
    denial = answers.denial_to_proto(Passed(waits, rate), clock=CLOCK)
    assert dict(denial.remaining) == {"output": "0.25"}
    assert denial.retry_after.ToMicroseconds() == 1_210_000
    assert denial.message == (
        "limit rpm of 1000 output a minute: 0.25 left on this host now, and enough in 1.3 s"
    )
    never = answers.denial_to_proto(Passed(replace(waits, enough_after_us=None), rate), clock=CLOCK)
    assert not never.HasField("retry_after")
    assert never.message == "limit rpm of 1000 output a minute: 0.25 left"


def test_money_is_left_in_its_currency_and_slots_in_slots() -> None:
    money = replace(LIMIT, kind=LimitKind.MONEY, quantity="", currency="EUR", decimals=6)
    denial = answers.denial_to_proto(Passed(DENIAL, money), clock=CLOCK)
    assert dict(denial.remaining) == {"EUR": "0.000525"}
    slots = replace(LIMIT, kind=LimitKind.CONCURRENCY, quantity="", decimals=0)
    denial = answers.denial_to_proto(Passed(DENIAL, slots), clock=CLOCK)
    assert dict(denial.remaining) == {"slots": "525"}


def test_a_soft_limit_is_named_beside_the_grant() -> None:
    granted = Granted(RESERVATION, is_partial=False, exceeded=(Passed(DENIAL, LIMIT),))
    answer = answers.reserve_to_proto(granted, clock=CLOCK)
    assert [item.limit_key for item in answer.exceeded] == ["tokens-a-day"]


def test_a_check_is_answered_as_a_reservation_would_be() -> None:
    limits = {LIMIT.limit_key: LIMIT}
    denied = answers.check_to_proto(
        QuotaDecision(verdict=Verdict.DENIED, denial=DENIAL), limits=limits, clock=CLOCK
    )
    assert (denied.decision, denied.denial.limit_key) == (
        agent_pb2.DECISION_DENIED,
        "tokens-a-day",
    )
    granted = answers.check_to_proto(
        QuotaDecision(verdict=Verdict.GRANTED, granted={"output": Decimal(3)}, exceeded=(DENIAL,)),
        limits=limits,
        clock=CLOCK,
    )
    assert dict(granted.granted) == {"output": "3"}
    assert [item.limit_key for item in granted.exceeded] == ["tokens-a-day"]


def test_an_end_names_its_event_and_what_went_beyond() -> None:
    ended = Ended("event-1", SETTLEMENT_KIND_LATE, {"output": Decimal("0.50")})
    answer = answers.settle_to_proto(ended)
    assert (answer.event_id, answer.kind, dict(answer.overrun)) == (
        "event-1",
        SETTLEMENT_KIND_LATE,
        {"output": "0.5"},
    )
    assert answers.release_to_proto(ended).event_id == "event-1"


def test_an_unsettled_reservation_tells_who_asked() -> None:
    item = replace(
        RESERVATION,
        caller="chat",
        content=Content(dimensions=(("model", "m"),)),
        used_so_far={"output": "3"},
        is_returned=True,
        reserve_time_us=1_000_000,
    )
    entry = answers.unsettled_to_proto(item, clock=CLOCK)
    assert (entry.caller, entry.is_returned, dict(entry.dimensions)) == (
        "chat",
        True,
        {"model": "m"},
    )
    assert (dict(entry.used_so_far), entry.reserve_time.seconds) == ({"output": "3"}, 1)
