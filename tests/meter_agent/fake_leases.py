"""Leases of the fake server: one escrow a limit, held to the protocol, wrong on demand."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from metering.api.v1 import lease_pb2, lease_pb2_grpc
from metering.api.v1.usage_pb2 import UsageEvent

if TYPE_CHECKING:
    from tests.meter_agent.fake_server import FakeServer

HANG_SECONDS = 5.0


@dataclass
class Escrow:
    """One limit of one customer: what is left is what no lease holds and nobody has settled."""

    terms: lease_pb2.LimitTerms
    leases: dict[bytes, lease_pb2.LeaseCounters] = field(default_factory=dict)
    is_tail: bool = False

    @property
    def out(self) -> int:
        return sum(item.granted - item.returned for item in self.leases.values())

    @property
    def left(self) -> int:
        return max(self.terms.max - self.out, 0)

    @property
    def settled(self) -> int:
        return sum(item.settled for item in self.leases.values())


class FakeLeases:
    """Plays LeaseService; part of a FakeServer, whose condition guards it."""

    def __init__(self, condition: threading.Condition) -> None:
        self.condition = condition
        self.escrows: dict[tuple[str, str], Escrow] = {}
        self.known_customers: set[str] = set()
        self.asked_customers: set[str] = set()
        self.revision = 1
        self.revisions: dict[str, int] = {}
        self.syncs: list[lease_pb2.SyncLeasesRequest] = []
        self.asks: list[lease_pb2.AcquireLeaseRequest] = []
        self.settled_elsewhere: list[lease_pb2.ReservationKey] = []
        self.dropped: list[lease_pb2.ReservationKey] = []
        self.results: list[lease_pb2.LeaseResult] = []
        """What the next calls are answered, before they change anything."""
        self.uncounted: list[UsageEvent] = []
        self.nonce = b""
        self.is_off = False
        self.busy_count = 0
        """So many asks are answered with ABORTED first."""
        self.is_growing = True
        """Whether a sync renews leases for the demand that it tells."""

    def limit(
        self,
        customer_id: str,
        limit_key: str,
        maximum: int,
        *,
        is_tail: bool = False,
        **fields: object,
    ) -> Escrow:
        """Sets a limit, or changes it; in its tail, what is asked for is granted exactly."""
        terms = lease_pb2.LimitTerms(
            **{
                "limit_key": limit_key,
                "kind": lease_pb2.LIMIT_KIND_UNITS,
                "quantity": "output_tokens",
                "max": maximum,
                "enforcement": lease_pb2.ENFORCEMENT_HARD,
                "when_offline": lease_pb2.OFFLINE_POLICY_CLOSED,
                "window_id": "w1",
                **fields,  # type: ignore[arg-type]
            }
        )
        with self.condition:
            escrow = self.escrows.setdefault((customer_id, limit_key), Escrow(terms))
            escrow.terms, escrow.is_tail = terms, is_tail
            self.known_customers.add(customer_id)
            self.revision += 1
            self.revisions[customer_id] = self.revision
            self.condition.notify_all()
        return escrow

    def know(self, customer_id: str) -> None:
        """Makes a customer without a limit."""
        with self.condition:
            self.known_customers.add(customer_id)

    def recall(self, customer_id: str, limit_key: str) -> None:
        """Asks for the rest of all leases of a limit."""
        with self.condition:
            for item in self.escrows[customer_id, limit_key].leases.values():
                item.recall_no += 1
                item.is_recalled = True
            self.condition.notify_all()

    def settle_elsewhere(self, customer_id: str, reservation_id: str) -> None:
        with self.condition:
            self.settled_elsewhere.append(
                lease_pb2.ReservationKey(customer_id=customer_id, reservation_id=reservation_id)
            )
            self.condition.notify_all()

    def terms_of(self, customer_id: str) -> lease_pb2.CustomerTerms:
        limits = []
        for (name, _), escrow in sorted(self.escrows.items()):
            if name == customer_id:
                terms = lease_pb2.LimitTerms()
                terms.CopyFrom(escrow.terms)
                terms.remaining = escrow.left
                limits.append(terms)
        return lease_pb2.CustomerTerms(
            customer_id=customer_id,
            revision=self.revisions.get(customer_id, 1),
            limits=limits,
            is_unknown=customer_id not in self.known_customers,
        )

    def session_leases(
        self, counters: list[lease_pb2.LeaseCounters]
    ) -> list[lease_pb2.LeaseCounters]:
        """Takes the counters of an OpenSession; returns all leases."""
        self._take(counters)
        return [item for escrow in self.escrows.values() for item in escrow.leases.values()]

    def settle(self, event: UsageEvent) -> None:
        """Counts the debits of an event that is counted for the first time."""
        for debit in event.debits:
            for escrow in self.escrows.values():
                if debit.lease_id in escrow.leases:
                    escrow.leases[debit.lease_id].settled += debit.amount

    def sync(self, request: lease_pb2.SyncLeasesRequest) -> lease_pb2.SyncLeasesResponse:
        with self.condition:
            self.syncs.append(request)
            self.nonce = request.nonce
            self.condition.notify_all()
            if self.results:
                return lease_pb2.SyncLeasesResponse(result=self.results.pop(0))
            self._take(list(request.leases))
            done = {item.reservation_id for item in request.dropped}
            self.dropped += request.dropped
            self.settled_elsewhere = [
                item for item in self.settled_elsewhere if item.reservation_id not in done
            ]
            if self.is_growing:
                self._grow(request)
            told = {item.lease_id: item for item in request.leases}
            self.condition.wait_for(
                lambda: self._has_news(request, told) or self.nonce != request.nonce, HANG_SECONDS
            )
            return lease_pb2.SyncLeasesResponse(
                sync_no=request.sync_no,
                result=lease_pb2.LEASE_RESULT_OK,
                leases=self._changed(told),
                customers=[
                    self.terms_of(name)
                    for name in sorted(self.asked_customers)
                    if self.revisions.get(name, 1) > request.terms_revision
                ],
                terms_revision=self.revision,
                settled_elsewhere=self.settled_elsewhere,
                answer_no=1_000 + request.sync_no,
            )

    def acquire(self, request: lease_pb2.AcquireLeaseRequest) -> lease_pb2.AcquireLeaseResponse:
        with self.condition:
            self.asks.append(request)
            self.condition.notify_all()
            if self.results:
                return lease_pb2.AcquireLeaseResponse(result=self.results.pop(0))
            answers, customers = [], list(request.customer_ids)
            for asked, least in zip(request.leases, request.granted_min, strict=True):
                escrow = self.escrows[asked.customer_id, asked.limit_key]
                item = escrow.leases.get(asked.lease_id)
                if item is None:
                    item = lease_pb2.LeaseCounters()
                    item.CopyFrom(asked)
                    item.granted = 0
                lacking = max(asked.granted - item.granted, 0)
                extra = 0 if escrow.is_tail else 4 * lacking  # The server's float.
                target = min(asked.granted + extra, item.granted + escrow.left)
                is_over = asked.window_id != escrow.terms.window_id
                if target >= least and not (is_over or item.is_closed):
                    item.granted = max(target, item.granted)
                    escrow.leases[asked.lease_id] = item
                else:
                    customers.append(asked.customer_id)
                answers.append(item)
            self.asked_customers.update(customers)
            return lease_pb2.AcquireLeaseResponse(
                leases=answers,
                result=lease_pb2.LEASE_RESULT_OK,
                customers=[self.terms_of(name) for name in sorted(set(customers))],
            )

    def _take(self, counters: list[lease_pb2.LeaseCounters]) -> None:
        for told in counters:
            escrow = self.escrows.get((told.customer_id, told.limit_key))
            if escrow is None:
                continue
            item = escrow.leases.setdefault(told.lease_id, told)
            item.granted = max(item.granted, told.granted)
            item.returned = max(item.returned, told.returned)
            item.consumed = max(item.consumed, told.consumed)
            item.is_closed = item.is_closed or told.is_closed
            item.is_recalled = item.recall_no > told.recall_no
        self.condition.notify_all()

    def _grow(self, request: lease_pb2.SyncLeasesRequest) -> None:
        """Renews leases for 15 s of the demand, from what is left."""
        for want in request.wants:
            escrow = self.escrows.get((want.customer_id, want.limit_key))
            open_leases = [] if escrow is None else [*escrow.leases.values()]
            for item in open_leases:
                if escrow is None or item.is_closed or item.window_id != escrow.terms.window_id:
                    continue
                free = item.granted - item.returned - item.consumed
                more = min(want.demand_per_second * 15 - free, escrow.left // 2)
                if more > 0:
                    item.granted += more

    def _changed(self, told: dict[bytes, lease_pb2.LeaseCounters]) -> list[lease_pb2.LeaseCounters]:
        return [
            item
            for escrow in self.escrows.values()
            for item in escrow.leases.values()
            if item.is_recalled
            or (item.lease_id in told and told[item.lease_id].granted != item.granted)
        ]

    def _has_news(
        self,
        request: lease_pb2.SyncLeasesRequest,
        told: dict[bytes, lease_pb2.LeaseCounters],
    ) -> bool:
        is_term_new = any(
            self.revisions.get(name, 1) > request.terms_revision for name in self.asked_customers
        )
        return is_term_new or bool(self.settled_elsewhere) or bool(self._changed(told))


class LeaseServicer(lease_pb2_grpc.LeaseServiceServicer):
    """Passes calls on, where the server's token is shown."""

    def __init__(self, server: "FakeServer") -> None:
        self._server = server

    def SyncLeases(
        self, request: lease_pb2.SyncLeasesRequest, context: grpc.ServicerContext
    ) -> lease_pb2.SyncLeasesResponse:
        self._server.authenticate(context)
        return self._server.leases.sync(request)

    def AcquireLease(
        self, request: lease_pb2.AcquireLeaseRequest, context: grpc.ServicerContext
    ) -> lease_pb2.AcquireLeaseResponse:
        self._server.authenticate(context)
        leases = self._server.leases
        if leases.busy_count:
            leases.busy_count -= 1
            context.abort(grpc.StatusCode.ABORTED, "another transaction takes too long")
        return leases.acquire(request)
