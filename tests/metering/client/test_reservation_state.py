"""What a reservation asks and knows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.api.v1.agent_pb2 import (
    DECISION_DENIED,
    DECISION_GRANTED,
    QuotaDenial,
    ReleaseReservationRequest,
    ReserveQuotaResponse,
    SettleReservationRequest,
)
from metering.client.quota import OnAgentUnavailable, QuotaDenied
from metering.client.quota_transport import AgentAwayError
from metering.client.reservation_state import ReservationState, ReservationTerms
from metering.errors import InvalidStateError, ValidationError
from metering.ids import settlement_event_id

AWAY = AgentAwayError(reason="RPC_UNAVAILABLE", message="refused")


def state(**terms: Any) -> ReservationState:
    asked: dict[str, Any] = {"customer": "acme", "quantities": {"tokens": 10}, **terms}
    return ReservationState(ReservationTerms(**asked), address="127.0.0.1:1")


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"customer": ""}, "CUSTOMER_ID_MALFORMED"),
        ({"quantities": {}}, "QUANTITIES_MISSING"),
        ({"quantities": {}, "dimensions": {"user": "u"}}, "QUANTITIES_MISSING"),
        ({"quantities": {"tokens": -1}}, "QUANTITY_NEGATIVE"),
        ({"quantities": {"tokens": 1.5}}, "QUANTITY_FLOAT"),
        ({"minimum": {"tokens": -1}}, "QUANTITY_NEGATIVE"),
        ({"minimum": {"other": 1}}, "MINIMUM_UNKNOWN"),
        ({"dimensions": {"model": 7}}, "DIMENSION_MALFORMED"),
        ({"reservation_id": ""}, "EVENT_ID_MALFORMED"),
        ({"ttl": timedelta(milliseconds=999)}, "TTL_OUT_OF_RANGE"),
        ({"ttl": timedelta(hours=1, seconds=1)}, "TTL_OUT_OF_RANGE"),
    ],
)
def test_a_mistake_of_the_program_is_told_at_once(terms: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        state(**terms)
    assert caught.value.reason == reason


def test_the_request_carries_what_was_asked_for() -> None:
    made = state(
        minimum={"tokens": Decimal("0.5")},
        dimensions={"model": "large"},
        ttl=timedelta(seconds=30),
        reservation_id="call-7",
    )
    request = made.request()
    assert (request.reservation_id, request.customer_id) == ("call-7", "acme")
    assert dict(request.quantities) == {"tokens": "10"}
    assert dict(request.minimum_quantities) == {"tokens": "0.5"}
    assert dict(request.dimensions) == {"model": "large"}
    assert request.ttl.seconds == 30
    assert made.renewal_seconds == 10
    assert made.event_id == settlement_event_id("acme", "call-7")


def test_a_reservation_is_begun_once_and_its_id_is_new() -> None:
    first, second = state(), state()
    assert first.reservation_id != second.reservation_id
    assert first.renewal_seconds == 40
    first.request()
    with pytest.raises(InvalidStateError) as caught:
        first.request()
    assert caught.value.reason == "RESERVATION_USED"


def test_a_grant_is_taken_and_a_denial_raised() -> None:
    made = state()
    made.request()
    made.answered(ReserveQuotaResponse(decision=DECISION_GRANTED, granted={"tokens": "7"}))
    assert (made.granted, made.is_held) == ({"tokens": Decimal(7)}, True)
    with pytest.raises(QuotaDenied):
        made.answered(
            ReserveQuotaResponse(decision=DECISION_DENIED, denial=QuotaDenial(limit_key="k"))
        )
    assert made.granted == {"tokens": Decimal(7)}


def test_without_an_agent_the_policy_decides() -> None:
    allowed = state(on_agent_unavailable=OnAgentUnavailable.ALLOW)
    allowed.not_answered(AWAY, quantities={"tokens": 10})
    allowed.not_answered(AWAY, quantities={"tokens": 5})
    assert (allowed.granted, allowed.is_held) == ({"tokens": Decimal(15)}, False)
    with pytest.raises(QuotaDenied) as caught:
        state().not_answered(AWAY, quantities={"tokens": 10})
    assert caught.value.reason == "AGENT_UNAVAILABLE"


def test_an_extension_tells_what_was_used_and_has_an_id_of_its_own() -> None:
    made = state(ttl=timedelta(seconds=9))
    made.request()
    made.use({"tokens": 4})
    made.use({"input": 1, "tokens": 6})
    first, second = made.extension({"tokens": 5}), made.renewal()
    assert second is not None
    assert dict(first.quantities) == {"tokens": "5"}
    assert dict(second.quantities) == {}
    assert dict(first.used_so_far) == dict(second.used_so_far) == {"tokens": "6", "input": "1"}
    assert first.request_id != second.request_id
    assert first.ttl.seconds == 9
    with pytest.raises(ValidationError):
        made.use({"tokens": -1})
    with pytest.raises(ValidationError):
        made.extension({"tokens": -1})


def test_the_minimum_of_an_extension_stands_beside_what_it_asks_for() -> None:
    made = state()
    made.request()
    assert dict(made.extension({"tokens": 5}, minimum={"tokens": 2}).minimum_quantities) == {
        "tokens": "2"
    }
    with pytest.raises(ValidationError) as unknown:
        made.extension({"tokens": 5}, minimum={"other": 2})
    assert unknown.value.reason == "MINIMUM_UNKNOWN"


def test_before_it_is_begun_and_after_its_end_nothing_is_extended() -> None:
    made = state()
    with pytest.raises(InvalidStateError) as before:
        made.extension({})
    with pytest.raises(InvalidStateError):
        made.settlement({"tokens": 1}, dimensions=None, event_time=None)
    made.request()
    made.settlement({"tokens": 1}, dimensions=None, event_time=None)
    with pytest.raises(InvalidStateError) as after:
        made.extension({})
    assert (before.value.reason, after.value.reason) == (
        "RESERVATION_NOT_BEGUN",
        "RESERVATION_ENDED",
    )
    assert made.renewal() is None


def test_a_settlement_names_its_customer_for_an_agent_that_does_not_hold_it() -> None:
    made = state(dimensions={"model": "large"})
    made.request()
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    end = made.settlement({"tokens": 3}, dimensions=None, event_time=at)
    assert isinstance(end, SettleReservationRequest)
    assert (end.customer_id, dict(end.dimensions)) == ("acme", {"model": "large"})
    assert end.event_time.ToDatetime(tzinfo=UTC) == at
    other = made.settlement({"tokens": 3}, dimensions={"model": "small"}, event_time=None)
    assert dict(other.dimensions) == {"model": "small"}
    assert not other.HasField("event_time")


def test_leaving_settles_what_was_noted() -> None:
    made = state()
    made.request()
    made.use({"tokens": 6})
    end = made.leave(None)
    assert isinstance(end, SettleReservationRequest)
    assert dict(end.quantities) == {"tokens": "6"}
    assert made.leave(None) is None


def test_leaving_after_an_exception_keeps_what_was_incurred() -> None:
    made = state()
    made.request()
    made.use({"input": 6})
    end = made.leave(RuntimeError("the engine failed"))
    assert isinstance(end, ReleaseReservationRequest)
    assert dict(end.incurred_quantities) == {"input": "6"}


def test_leaving_with_nothing_noted_gives_all_back() -> None:
    made = state()
    made.request()
    end = made.leave(None)
    assert isinstance(end, ReleaseReservationRequest)
    assert dict(end.incurred_quantities) == {}


def test_a_release_may_name_what_was_incurred() -> None:
    made = state()
    made.request()
    made.use({"input": 6})
    end = made.release({"input": 5})
    assert isinstance(end, ReleaseReservationRequest)
    assert dict(end.incurred_quantities) == {"input": "5"}


def test_an_end_that_was_refused_for_its_content_may_be_followed_by_another() -> None:
    made = state()
    made.request()
    made.settlement({"tokens": 1}, dimensions=None, event_time=None)
    made.reopen()
    assert made.is_open
