import grpc
import pytest

from billing_server.edge.grpc.lease_service import LeaseService


class Aborted(Exception):
    """Raised by the context below."""


class Context:
    """Notes how a call was aborted."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.answer = code, details
        raise Aborted


@pytest.mark.parametrize("method", ["SyncLeases", "AcquireLease"])
def test_every_call_is_unimplemented_and_says_why(method: str) -> None:
    context = Context()
    with pytest.raises(Aborted):
        getattr(LeaseService(), method)(None, context)
    code, details = context.answer
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "grants no leases" in details
