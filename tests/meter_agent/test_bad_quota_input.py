"""Every bad input that a call for quota can bring, through the SDK and bare, at a real agent.

Each has an answer, and `docs/guides/quota.md` names it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from metering import Meter, QuotaDenied
from metering.api.v1 import agent_pb2, lease_pb2
from metering.api.v1.usage_pb2 import SETTLEMENT_KIND_LATE, SETTLEMENT_KIND_SETTLED
from metering.errors import ErrorKind, MeteringError
from metering.rpc import error_from_rpc
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, wait_until

GUIDE: Final = Path(__file__).resolve().parents[2] / "docs" / "guides" / "quota.md"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    price = lease_pb2.PriceBound(meter_key="images", quantity="images", is_not_estimable=True)
    with FakeServer() as server:
        server.leases.limit("acme", "daily", 1_000)
        server.leases.limit(
            "acme",
            "money",
            5_000_000,
            kind=lease_pb2.LIMIT_KIND_MONEY,
            quantity="",
            currency="USD",
            decimals=6,
            prices=[price],
        )
        with RunningAgent(tmp_path, server=server.address, token=TOKEN) as running:
            yield running


class Bare:
    """Calls without the SDK."""

    def __init__(self, agent: RunningAgent) -> None:
        self._stub = agent.stub

    def reserve(
        self, *, customer: str = "acme", name: str = "r-1", minimum: str = "", **amounts: str
    ) -> Any:
        answer = self._stub.ReserveQuota(
            agent_pb2.ReserveQuotaRequest(
                reservation_id=name,
                customer_id=customer,
                quantities=amounts or {"output_tokens": "100"},
                minimum_quantities={"output_tokens": minimum} if minimum else {},
            ),
            timeout=WAIT_SECONDS,
        )
        if answer.decision == agent_pb2.DECISION_DENIED:
            raise LookupError(answer.denial.reason)
        return answer

    def settle(self, amount: str = "60", *, name: str = "r-1") -> Any:
        request = agent_pb2.SettleReservationRequest(
            reservation_id=name, quantities={"output_tokens": amount} if amount else {}
        )
        return self._stub.SettleReservation(request, timeout=WAIT_SECONDS)

    def extend(self) -> Any:
        request = agent_pb2.ExtendReservationRequest(reservation_id="r-1")
        return self._stub.ExtendReservation(request, timeout=WAIT_SECONDS)

    def reserved(self) -> "Bare":
        self.reserve()
        return self

    def settled(self) -> "Bare":
        self.reserved().settle()
        return self


INVALID, EXISTS, STATE = ErrorKind.VALIDATION, ErrorKind.ALREADY_EXISTS, ErrorKind.INVALID_STATE
BARE: dict[str, tuple[Callable[[Bare], Any], ErrorKind | None, str]] = {
    "unknown customer": (lambda bare: bare.reserve(customer="nobody"), None, "CUSTOMER_UNKNOWN"),
    "price without a bound": (lambda bare: bare.reserve(images="1"), None, "PRICE_NOT_ESTIMABLE"),
    "more than the limit": (lambda bare: bare.reserve(output_tokens="1001"), None, "LIMIT_REACHED"),
    "no customer": (lambda bare: bare.reserve(customer=""), INVALID, "CUSTOMER_ID_MALFORMED"),
    "no id": (lambda bare: bare.reserve(name=""), INVALID, "RESERVATION_ID_MALFORMED"),
    "negative": (lambda bare: bare.reserve(output_tokens="-5"), INVALID, "QUANTITY_NEGATIVE"),
    "no number": (lambda bare: bare.reserve(output_tokens="five"), INVALID, "QUANTITY_MALFORMED"),
    "minimum above": (lambda bare: bare.reserve(minimum="101"), INVALID, "MINIMUM_OUT_OF_RANGE"),
    "same id, other content": (
        lambda bare: bare.reserved().reserve(output_tokens="99"),
        EXISTS,
        "RESERVATION_ID_REUSED",
    ),
    "same id, other customer": (
        lambda bare: bare.reserved().reserve(customer="other"),
        EXISTS,
        "RESERVATION_ID_REUSED",
    ),
    "settled with other numbers": (
        lambda bare: bare.settled().settle("61"),
        EXISTS,
        "SETTLEMENT_CONFLICT",
    ),
    "settled with nothing": (
        lambda bare: bare.reserved().settle(""),
        INVALID,
        "QUANTITIES_MISSING",
    ),
    "id of a call that has ended": (
        lambda bare: bare.settled().reserve(),
        STATE,
        "RESERVATION_ENDED",
    ),
    "extended when ended": (lambda bare: bare.settled().extend(), STATE, "RESERVATION_ENDED"),
    "settled, never reserved": (
        lambda bare: bare.settle(),
        ErrorKind.NOT_FOUND,
        "RESERVATION_UNKNOWN",
    ),
}


@pytest.mark.parametrize("name", BARE)
def test_bad_input_has_the_answer_that_the_guide_names(name: str, agent: RunningAgent) -> None:
    act, kind, reason = BARE[name]
    with pytest.raises((grpc.RpcError, LookupError)) as caught:
        act(Bare(agent))
    error = caught.value
    if isinstance(error, grpc.RpcError):
        found = error_from_rpc(error)
        assert (found.kind, found.reason) == (kind, reason)
        assert found.message
    else:
        assert (kind, str(error)) == (None, reason)
    assert f"`{reason}`" in GUIDE.read_text(encoding="utf-8")


def test_what_is_wrong_but_was_used_is_recorded(agent: RunningAgent) -> None:
    bare = Bare(agent)
    assert dict(bare.reserve(name="free", seats="3").granted) == {"seats": "3"}  # No limit.
    more = bare.reserved().settle("150")
    assert (more.kind, dict(more.overrun)) == (SETTLEMENT_KIND_SETTLED, {"output_tokens": "50"})
    assert bare.settle("150") == more
    request = agent_pb2.ReserveQuotaRequest(
        reservation_id="late", customer_id="acme", quantities={"output_tokens": "100"}
    )
    request.ttl.seconds = 1
    agent.stub.ReserveQuota(request, timeout=WAIT_SECONDS)
    wait_until(lambda: agent.status().expired_reservation_count == 1)
    assert bare.settle("70", name="late").kind == SETTLEMENT_KIND_LATE


SDK: dict[str, tuple[dict[str, Any], str]] = {
    "unknown customer": ({"customer": "nobody"}, "CUSTOMER_UNKNOWN"),
    "price without a bound": ({"quantities": {"images": 1}}, "PRICE_NOT_ESTIMABLE"),
    "negative": ({"quantities": {"output_tokens": -5}}, "QUANTITY_NEGATIVE"),
    "float": ({"quantities": {"output_tokens": 1.5}}, "QUANTITY_FLOAT"),
    "nothing": ({"quantities": {}}, "QUANTITIES_MISSING"),
    "minimum of another": ({"minimum": {"images": 1}}, "MINIMUM_UNKNOWN"),
}


@pytest.mark.parametrize("name", SDK)
def test_the_sdk_refuses_it_in_the_same_words(name: str, agent: RunningAgent) -> None:
    fields, reason = SDK[name]
    asked: dict[str, Any] = {"customer": "acme", "quantities": {"output_tokens": 100}, **fields}
    with Meter(agent.address) as meter, pytest.raises((MeteringError, QuotaDenied)) as caught:
        meter.reserve(**asked).__enter__()
    error = caught.value
    assert isinstance(error, MeteringError)
    assert error.reason == reason
    assert f"`{reason}`" in GUIDE.read_text(encoding="utf-8")
