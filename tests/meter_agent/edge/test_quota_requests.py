"""What callers ask for quota is judged field by field, with reasons that name the field."""

from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.quota.reservation import EndKind
from meter_agent.edge import quota_requests as requests
from metering.api.v1 import agent_pb2
from metering.errors import ValidationError
from tests.meter_agent.support import NOW_US


def reserve(**fields: Any) -> agent_pb2.ReserveQuotaRequest:
    return agent_pb2.ReserveQuotaRequest(
        **{
            "reservation_id": "r-1",
            "customer_id": "acme",
            "quantities": {"output": "10.50"},
            **fields,
        }
    )


def test_a_reservation_is_taken_over() -> None:
    request = reserve(
        minimum_quantities={"output": "1"}, dimensions={"model": "m"}, ttl=Duration(seconds=5)
    )
    asked = requests.reserve_from_proto(request, caller="service:chat", now_us=NOW_US)
    assert asked.request.quantities == {"output": Decimal("10.50")}
    assert asked.request.minimum_quantities == {"output": Decimal(1)}
    assert asked.content.quantities == (("output", "10.5"),)
    assert (asked.ttl_us, asked.caller) == (5_000_000, "service:chat")
    own = requests.reserve_from_proto(reserve(caller="me"), caller="x", now_us=NOW_US)
    assert (own.ttl_us, own.caller) == (120_000_000, "me")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reservation_id": ""}, "RESERVATION_ID_MALFORMED"),
        ({"reservation_id": "a b"}, "RESERVATION_ID_MALFORMED"),
        ({"customer_id": ""}, "CUSTOMER_ID_MALFORMED"),
        ({"quantities": {"output": "-1"}}, "QUANTITY_NEGATIVE"),
        ({"quantities": {"output": "much"}}, "QUANTITY_MALFORMED"),
        ({"quantities": {"output": "1" * 19}}, "QUANTITY_TOO_LARGE"),
        ({"dimensions": {"": "x"}}, "DIMENSION_KEY_MALFORMED"),
        ({"minimum_quantities": {"output": "11"}}, "MINIMUM_OUT_OF_RANGE"),
        ({"minimum_quantities": {"other": "1"}}, "MINIMUM_OUT_OF_RANGE"),
        ({"minimum_quantities": {"output": "-1"}}, "QUANTITY_NEGATIVE"),
        ({"ttl": Duration(nanos=999_999_999)}, "TTL_OUT_OF_RANGE"),
        ({"ttl": Duration(seconds=3_601)}, "TTL_OUT_OF_RANGE"),
        ({"caller": "c" * 129}, "CALLER_MALFORMED"),
    ],
)
def test_a_wrong_field_of_a_reservation_is_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        requests.reserve_from_proto(reserve(**fields), caller="", now_us=NOW_US)
    assert caught.value.reason == reason
    if reason == "RESERVATION_ID_MALFORMED":
        assert caught.value.message.startswith("reservation_id ")


def test_an_extension_may_only_renew() -> None:
    request = agent_pb2.ExtendReservationRequest(
        reservation_id="r-1", used_so_far={"output": "3"}, request_id="x-1"
    )
    asked = requests.extend_from_proto(request, now_us=NOW_US)
    assert (asked.quantities, asked.ttl_us, asked.used_so_far) == ({}, None, {"output": "3"})
    request.ttl.FromSeconds(7)
    request.quantities["output"] = "2"
    asked = requests.extend_from_proto(request, now_us=NOW_US)
    assert (asked.quantities, asked.ttl_us) == ({"output": Decimal(2)}, 7_000_000)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reservation_id": ""}, "RESERVATION_ID_MALFORMED"),
        ({"request_id": "a b"}, "REQUEST_ID_MALFORMED"),
        ({"quantities": {"output": "-1"}}, "QUANTITY_NEGATIVE"),
        ({"used_so_far": {"output": "-1"}}, "QUANTITY_NEGATIVE"),
        ({"minimum_quantities": {"output": "1"}}, "MINIMUM_OUT_OF_RANGE"),
    ],
)
def test_a_wrong_field_of_an_extension_is_named(fields: dict[str, Any], reason: str) -> None:
    request = agent_pb2.ExtendReservationRequest(**{"reservation_id": "r-1", **fields})
    with pytest.raises(ValidationError) as caught:
        requests.extend_from_proto(request, now_us=NOW_US)
    assert caught.value.reason == reason


def test_a_settlement_says_what_was_used() -> None:
    request = agent_pb2.SettleReservationRequest(
        reservation_id="r-1",
        quantities={"output": "3"},
        event_time=Timestamp(seconds=NOW_US // 10**6),
    )
    asked = requests.settle_from_proto(request, now_us=NOW_US)
    assert (asked.kind, asked.customer_id, asked.quantities) == (
        EndKind.SETTLE,
        "",
        {"output": Decimal(3)},
    )
    assert asked.content.event_time_ns == NOW_US * 1_000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantities": {}}, "QUANTITIES_MISSING"),
        ({"quantities": {"output": "-1"}}, "QUANTITY_NEGATIVE"),
        ({"event_time": Timestamp(seconds=1)}, "EVENT_TIME_TOO_OLD"),
        ({"customer_id": " x"}, "CUSTOMER_ID_MALFORMED"),
    ],
)
def test_a_wrong_field_of_a_settlement_is_named(fields: dict[str, Any], reason: str) -> None:
    request = agent_pb2.SettleReservationRequest(
        **{"reservation_id": "r-1", "quantities": {"output": "3"}, **fields}
    )
    with pytest.raises(ValidationError) as caught:
        requests.settle_from_proto(request, now_us=NOW_US)
    assert caught.value.reason == reason


def test_a_release_may_be_of_nothing() -> None:
    request = agent_pb2.ReleaseReservationRequest(reservation_id="r-1", customer_id="acme")
    asked = requests.release_from_proto(request, now_us=NOW_US)
    assert (asked.kind, asked.quantities, asked.customer_id) == (EndKind.RELEASE, {}, "acme")


def test_a_check_needs_no_id() -> None:
    request = agent_pb2.CheckQuotaRequest(customer_id="acme", quantities={"output": "3"})
    asked = requests.check_from_proto(request, now_us=NOW_US)
    assert asked.quantities == {"output": Decimal(3)}
