"""The fake agent's quota behaves as an agent's does, in what a caller can see of it."""

from decimal import Decimal

import pytest

from metering import Meter, MeteringError, QuotaDenied
from metering.api.v1.agent_pb2 import (
    DECISION_DENIED,
    DECISION_GRANTED,
    DECISION_GRANTED_PARTIALLY,
    CheckQuotaRequest,
    ExtendReservationRequest,
    QuotaDenial,
    ReleaseReservationRequest,
    ReserveQuotaRequest,
    SettleReservationRequest,
)
from metering.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from metering.ids import settlement_event_id
from metering.testing import FakeAgent
from metering.testing.fake_quota import FakeQuota


def request(reservation_id: str = "r-1", *, amount: str = "10") -> ReserveQuotaRequest:
    return ReserveQuotaRequest(
        reservation_id=reservation_id, customer_id="acme", quantities={"tokens": amount}
    )


def limited(maximum: int) -> FakeQuota:
    quota = FakeQuota()
    quota.limit("acme", "tokens", Decimal(maximum), key="daily")
    return quota


def test_what_is_held_or_used_is_gone_and_what_is_not_used_comes_back() -> None:
    quota = limited(100)
    quota.reserve(request(amount="60"))
    assert quota.left("acme", "tokens") == 40
    quota.end(SettleReservationRequest(reservation_id="r-1", quantities={"tokens": "25"}))
    assert quota.left("acme", "tokens") == 75
    quota.reserve(request("r-2", amount="75"))
    quota.end(ReleaseReservationRequest(reservation_id="r-2"))
    assert quota.left("acme", "tokens") == 75
    assert quota.left("other", "tokens") is None


def test_more_than_is_left_is_denied_or_granted_in_part() -> None:
    quota = limited(5)
    denied = quota.reserve(request())
    assert denied.decision == DECISION_DENIED
    assert (denied.denial.limit_key, dict(denied.denial.remaining)) == ("daily", {"tokens": "5"})
    asked = request()
    asked.minimum_quantities["tokens"] = "5"
    granted = quota.reserve(asked)
    assert granted.decision == DECISION_GRANTED_PARTIALLY
    assert dict(granted.granted) == {"tokens": "5"}


def test_a_check_holds_nothing() -> None:
    quota = limited(10)
    check = CheckQuotaRequest(customer_id="acme", quantities={"tokens": "10"})
    assert quota.check(check).decision == DECISION_GRANTED
    assert quota.check(check).decision == DECISION_GRANTED
    check.quantities["tokens"] = "11"
    assert quota.check(check).decision == DECISION_DENIED


def test_a_repeated_request_is_answered_the_same_and_another_one_is_refused() -> None:
    quota = limited(10)
    assert quota.reserve(request()).decision == DECISION_GRANTED
    assert quota.reserve(request()).decision == DECISION_GRANTED
    with pytest.raises(AlreadyExistsError, match="other content"):
        quota.reserve(request(amount="9"))
    quota.end(ReleaseReservationRequest(reservation_id="r-1"))
    with pytest.raises(InvalidStateError, match="make a new id"):
        quota.reserve(request())


def test_an_extension_adds_and_a_denied_one_changes_nothing() -> None:
    quota = limited(15)
    quota.reserve(request())
    more = ExtendReservationRequest(reservation_id="r-1", quantities={"tokens": "5"})
    assert dict(quota.extend(more).granted) == {"tokens": "15"}
    assert quota.extend(more).decision == DECISION_DENIED
    assert quota.reservations["r-1"].granted == {"tokens": Decimal(15)}
    with pytest.raises(NotFoundError):
        quota.extend(ExtendReservationRequest(reservation_id="r-2"))


def test_a_settlement_that_is_unknown_counts_where_it_names_its_customer() -> None:
    quota = FakeQuota()
    settle = SettleReservationRequest(reservation_id="r-9", quantities={"tokens": "3"})
    with pytest.raises(NotFoundError):
        quota.end(settle)
    settle.customer_id = "acme"
    event = quota.end(settle)
    assert event is not None
    assert event.event_id == settlement_event_id("acme", "r-9")
    assert quota.end(settle) is None


def test_a_meter_meets_the_limits_of_the_fake() -> None:
    with FakeAgent() as agent, Meter(agent.address) as meter:
        agent.limit("acme", "tokens", 10, key="daily")
        with pytest.raises(QuotaDenied) as caught:
            meter.reserve(customer="acme", quantities={"tokens": 11}).__enter__()
        assert caught.value.limit_key == "daily"
        agent.deny_where(lambda _: QuotaDenial(limit_key="rule", message="told to deny"))
        with pytest.raises(QuotaDenied, match="told to deny"):
            meter.reserve(customer="acme", quantities={"tokens": 1}).__enter__()
        agent.recover()
        with meter.reserve(customer="acme", quantities={"tokens": 10}) as r:
            r.settle({"tokens": 4})
            with pytest.raises(MeteringError) as refused:
                r.settle({"tokens": 5})
        assert refused.value.reason == "RESERVATION_ENDED"
        assert agent.reservations[r.reservation_id].granted == {"tokens": Decimal(10)}
        assert [dict(event.quantities) for event in agent.events] == [{"tokens": "4"}]
