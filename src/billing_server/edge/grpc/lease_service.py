"""LeaseService at the edge: syncs that wait for news, and acquisitions at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.news import news_of_disk
from billing_server.edge.grpc.lease_bell import LeaseBell
from billing_server.edge.grpc.lease_messages import (
    acquire_answer_to_proto,
    acquire_request_from_proto,
    sync_answer_to_proto,
    sync_request_from_proto,
)
from billing_server.edge.grpc.recall_ages import RecallAges
from billing_server.services.acquire_leases import AcquireAnswer, AcquireRequest, acquire_leases
from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.services.lease_desk import LeaseDesk
from billing_server.services.sync_answer import Answering, SyncAnswer
from billing_server.services.sync_leases import SyncRequest, look_again, sync_leases
from metering.api.v1 import lease_pb2, lease_pb2_grpc
from metering.rpc import token_from_metadata

HANG_SECONDS: Final = 10.0
"""How long a sync waits for news, at most."""
EXCEEDED_SECONDS: Final = 1.1
"""How often it is looked whether calls of an agent that holds too much have ended."""
ACQUIRE_SECONDS: Final = 0.7
"""How long an acquisition waits for recalls, at most: its agent tries again after 0.9 s."""

T = TypeVar("T")


class LeaseService(lease_pb2_grpc.LeaseServiceServicer):
    """Answers agents about leases. Errors are mapped by the interceptor.

    Args:
        desk: What lease work is handed.
        bell: Wakes syncs that wait.
        threads: Runs what touches the database.
        hang_seconds: How long a sync waits for news, at most.
    """

    def __init__(
        self,
        *,
        desk: LeaseDesk,
        bell: LeaseBell,
        threads: Executor,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._desk = desk
        self._bell = bell
        self._threads = threads
        self._hang_seconds = hang_seconds
        self._recalls = RecallAges()
        self._is_ending = False

    def end_waiting(self) -> None:
        """Answers every sync that waits, and lets none wait from now on."""
        self._is_ending = True
        self._bell.ring_everyone()

    async def SyncLeases(
        self, request: lease_pb2.SyncLeasesRequest, context: Any
    ) -> lease_pb2.SyncLeasesResponse:
        """Exchanges counters for news; waits where there is none."""
        agent = await self._agent(context)
        wanted = sync_request_from_proto(request)
        calm = min(request.calm.ToTimedelta().total_seconds(), self._hang_seconds)
        answering = Answering.CALMLY if calm > 0 else Answering.WITH_NEWS
        if request.answer_at_once:
            answering = Answering.NOW
        answer = await self._sync(agent, wanted, answering=answering, calm_seconds=calm)
        return sync_answer_to_proto(answer, sync_no=request.sync_no)

    async def AcquireLease(
        self, request: lease_pb2.AcquireLeaseRequest, context: Any
    ) -> lease_pb2.AcquireLeaseResponse:
        """Grants at once; waits a moment for what had to be recalled."""
        agent = await self._agent(context)
        answer = await self._acquire(agent, acquire_request_from_proto(request))
        return acquire_answer_to_proto(answer)

    async def _sync(
        self, agent: Agent, request: SyncRequest, *, answering: Answering, calm_seconds: float
    ) -> SyncAnswer:
        # Listened for before the first look: news between the two is not missed.
        heard = request.customers | {news_of_disk(request.mark.disk_id)}
        with self._bell.waiting_for(heard) as waiter:
            begun = time.monotonic()
            calm_until, deadline = begun + calm_seconds, begun + self._hang_seconds
            answer = await self._run(
                sync_leases, self._desk, agent=agent, request=request, answering=answering
            )
            while not answer.has_news:
                now = time.monotonic()
                until = deadline if now >= calm_until else calm_until
                if answer.exceeded:
                    until = min(until, now + EXCEEDED_SECONDS)
                rung = await waiter.wait(seconds=until - now) | answer.exceeded
                answer = await self._run(
                    look_again,
                    self._desk,
                    agent=agent,
                    request=request,
                    rung=rung,
                    answering=self._answering(calm_until=calm_until, deadline=deadline),
                )
            return answer

    def _answering(self, *, calm_until: float, deadline: float) -> Answering:
        now = time.monotonic()
        if self._is_ending or now >= deadline:
            return Answering.NOW
        return Answering.WITH_NEWS if now >= calm_until else Answering.CALMLY

    async def _acquire(self, agent: Agent, request: AcquireRequest) -> AcquireAnswer:
        customers = {each.key.customer_id for each in request.wanted}
        with self._bell.waiting_for(customers) as waiter:
            deadline = time.monotonic() + ACQUIRE_SECONDS
            while True:
                answer = await self._run(
                    acquire_leases,
                    self._desk,
                    agent=agent,
                    request=request,
                    in_vain=self._recalls.in_vain(now=time.monotonic()),
                )
                now = time.monotonic()
                fresh = self._recalls.seconds_left(answer.waits_for, now=now)
                seconds = min(fresh, deadline - now)
                if seconds <= 0:
                    return answer
                # Where nothing came, one more look asks those that may still answer.
                await waiter.wait(seconds=seconds)

    async def _agent(self, context: Any) -> Agent:
        token = token_from_metadata(context.invocation_metadata())
        return await self._run(authenticate_agent, self._desk.store, token=token)

    async def _run(self, work: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*arguments, **keywords))
