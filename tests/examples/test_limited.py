"""The demo's customer with a hard limit: refused before the call, and never past the limit."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing_server.domain.catalog.parse import parse_catalog
from examples.llm import limited
from examples.llm.limited import CUSTOMER, MAX_TOKENS, Call, LimitedCustomer, read_calls
from metering.api.v1.agent_pb2 import QuotaDenial, ReserveQuotaRequest
from metering.limits import Enforcement
from metering.testing import FakeAgent

EXAMPLE = Path(limited.__file__).parent
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CALL = Call(input_tokens=100, output_tokens=350, at=NOON)


def played(agent: FakeAgent, *, calls: int) -> LimitedCustomer:
    customer = LimitedCustomer(agent.address, calls=[CALL] * calls, seconds=0)
    customer.start()
    customer.finish()
    return customer


def test_calls_are_shortened_at_the_limit_and_refused_behind_it() -> None:
    with FakeAgent() as agent:
        agent.limit(CUSTOMER, "output_tokens", 1_000, key="a-month")
        customer = played(agent, calls=5)
        # 350 of 400, 350 of 400, and the 300 that are left; two calls are never made.
        assert (customer.granted_count, customer.shortened_count, customer.refused_count) == (
            3,
            1,
            2,
        )
        assert customer.output_tokens == 1_000
        assert customer.refusal is not None
        assert customer.refusal.limit_key == "a-month"
        assert customer.refusal.remaining == {"output_tokens": Decimal(0)}
        counted = [int(event.quantities["output_tokens"]) for event in agent.events]
        assert counted == [350, 350, 300]


def test_refusals_while_a_program_is_being_killed_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limited, "RETRY_SECONDS", 0)
    denials = [QuotaDenial(reason="SERVER_AWAY"), QuotaDenial(reason="AGENT_UNAVAILABLE")]

    def rule(_request: ReserveQuotaRequest) -> QuotaDenial | None:
        return denials.pop() if denials else None

    with FakeAgent() as agent:
        agent.deny_where(rule)
        customer = played(agent, calls=1)
    assert (customer.granted_count, customer.refused_count, customer.retried_count) == (1, 0, 2)


def test_the_traffic_of_the_demo_comes_to_more_than_its_limit() -> None:
    catalog = parse_catalog((EXAMPLE / "catalog.yaml").read_text(), name="catalog.yaml")
    (limit,) = next(each.limits or () for each in catalog.customers if each.id == CUSTOMER)
    calls = read_calls(EXAMPLE / "trace-small.csv", first_event=NOON)
    wanted = sum(min(call.output_tokens, MAX_TOKENS) for call in calls)
    assert limit.enforcement is Enforcement.HARD
    assert limit.maximum * 4 < wanted * 3, "it is refused in mid-replay, not at its end"
