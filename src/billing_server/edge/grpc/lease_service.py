"""LeaseService, reserved: this version grants no leases and says so."""

from typing import Any, NoReturn

import grpc

from metering.api.v1 import lease_pb2_grpc

NOT_YET = "this version of the server grants no leases: the agent records usage without limits"


class LeaseService(lease_pb2_grpc.LeaseServiceServicer):
    """Answers every call with UNIMPLEMENTED.

    Not an error of the product's: there is no kind for it, so the handlers abort by themselves.
    """

    def SyncLeases(self, request: Any, context: Any) -> NoReturn:
        """Refuses."""
        _refuse(context)

    def AcquireLease(self, request: Any, context: Any) -> NoReturn:
        """Refuses."""
        _refuse(context)


def _refuse(context: Any) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, NOT_YET)
    raise AssertionError("abort returned")
