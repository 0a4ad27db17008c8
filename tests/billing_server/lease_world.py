"""Agents that hold leases, played against the use cases: sessions, syncs, acquisitions, events."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.limit.lease import LeaseReport, WindowKey
from billing_server.domain.limit.spans import LimitSpan
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LeaseWant
from billing_server.services.acquire_leases import (
    AcquireAnswer,
    AcquireRequest,
    WantedLease,
    acquire_leases,
)
from billing_server.services.lease_desk import CallMark, CallResult, LeaseDesk, ToldLease
from billing_server.services.lease_reports import ReportedLease
from billing_server.services.limit_accounts import window_at
from billing_server.services.limit_book import LimitBook
from billing_server.services.open_session import SessionRequest, open_session
from billing_server.services.sync_answer import Answering, SyncAnswer
from billing_server.services.sync_leases import SyncRequest, look_again, sync_leases
from billing_server.services.usage_payload import UsagePush
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON, START, block
from tests.billing_server.limit_world import LimitWorld, debited


class HeldLease:
    """A lease as an agent keeps it."""

    def __init__(self, told: ToldLease) -> None:
        self.lease_id = told.lease.lease_id
        self.key = told.lease.key
        self.granted = self.returned = self.consumed = self.held = self.recall_no = 0
        self.rate = self.burst = 0
        self.is_closed = False
        self.hear(told)

    @property
    def free(self) -> int:
        return self.granted - self.returned - self.consumed - self.held

    def hear(self, told: ToldLease) -> None:
        """Takes what the server says, and answers a recall by returning what is free."""
        self.granted = max(self.granted, told.lease.granted)
        self.rate, self.burst = told.lease.rate_per_minute, told.lease.burst
        self.is_closed |= told.is_closed
        self.told = told
        if told.lease.recall_no > self.recall_no or self.is_closed:
            self.recall_no = told.lease.recall_no
            self.returned += self.free
            self.rate = self.burst = 0

    def report(self) -> ReportedLease:
        return ReportedLease(
            lease_id=self.lease_id,
            key=self.key,
            report=LeaseReport(
                granted=self.granted,
                returned=self.returned,
                consumed=self.consumed,
                held=self.held,
                recall_no=self.recall_no,
                is_closed=self.is_closed,
            ),
            rate_per_minute=self.rate,
            burst=self.burst,
        )


class LeasingAgent:
    """An agent that reserves from leases."""

    def __init__(self, world: "LeaseWorld", agent: Agent) -> None:
        self.world = world
        self.agent = agent
        self.disk_id = agent.name.encode().ljust(16, b"d")
        self.previous_disk_id = b""
        self.sync_no = 0
        self.heard_answer_no = 0
        self.nonce = b""
        self.session_no = 0
        self.incarnation = ""
        self.leases: dict[bytes, HeldLease] = {}
        self.terms_revision = 0
        self.known_limits: dict[str, list[str]] = {}
        self.answered = CallMark(disk_id=b"", session_no=0, incarnation="", sync_no=0, nonce=b"")
        self.next_seq = 1
        self._lease_numbers = count(1)
        self.open()

    def open(self) -> None:
        """Opens the next session and takes part in leases."""
        self._next_number()
        opened = open_session(
            self.world.store,
            clock=self.world.clock,
            agent=self.agent,
            request=SessionRequest(
                disk_id=self.disk_id,
                nonce=self.nonce,
                sync_no=self.sync_no,
                earliest_kept_seq=self.next_seq,
                next_seq=self.next_seq,
                applied_seq=self.next_seq - 1,
                server_incarnation=self.incarnation,
                previous_disk_id=self.previous_disk_id,
                has_leases=True,
                leases=tuple(each.report() for each in self.leases.values()),
            ),
        )
        self.session_no, self.incarnation = opened.session_no, opened.server_incarnation
        self.answered = self.mark
        self.heard_answer_no = opened.answer_no
        for told in opened.leases:
            self._hear(told)

    @property
    def ref(self) -> int:
        """The small number of its disk."""
        with self.world.store.read() as unit:
            found = unit.agents.get(self.agent.agent_id)
        assert found is not None
        return found.ref

    @property
    def mark(self) -> CallMark:
        return CallMark(
            disk_id=self.disk_id,
            session_no=self.session_no,
            incarnation=self.incarnation,
            sync_no=self.sync_no,
            nonce=self.nonce,
            heard_answer_no=self.heard_answer_no,
        )

    def request(self, *wants: LeaseWant, **changes: Any) -> SyncRequest:
        """Returns the next sync, under the number and nonce that it has."""
        fields: dict[str, Any] = {
            "mark": self.mark,
            "reports": tuple(each.report() for each in self.leases.values()),
            "wants": wants,
            "terms_revision": self.terms_revision,
        }
        return SyncRequest(**(fields | changes))

    def sync(
        self, *wants: LeaseWant, answering: Answering = Answering.NOW, **changes: Any
    ) -> SyncAnswer:
        """Syncs under the next number and takes the answer in."""
        self._next_number()
        answer = sync_leases(
            self.world.desk,
            agent=self.agent,
            request=self.request(*wants, **changes),
            answering=answering,
        )
        if answer.result is CallResult.OK:
            self.answered = self.mark
            self.take_in(answer)
        return answer

    def look(
        self, *wants: LeaseWant, rung: Sequence[str] = (), answering: Answering = Answering.NOW
    ) -> SyncAnswer:
        """Lets the server look again at a sync that waits, and takes the answer in."""
        answer = look_again(
            self.world.desk,
            agent=self.agent,
            request=self.request(*wants, reports=()),
            rung=rung,
            answering=answering,
        )
        self.take_in(answer)
        return answer

    def take_in(self, answer: SyncAnswer) -> None:
        """Takes an answer in, as an agent does."""
        self.heard_answer_no = answer.answer_no
        for told in answer.leases:
            self._hear(told)
        self._hear_terms(answer)

    def acquire(
        self,
        key: WindowKey,
        *,
        amount: int,
        least: int | None = None,
        lease_id: bytes | None = None,
        customer_ids: Sequence[str] = (),
        desk: LeaseDesk | None = None,
        in_vain: Collection[bytes] = (),
    ) -> AcquireAnswer:
        """Asks for a lease, or for more in one, at once."""
        known = self.leases.get(lease_id or b"")
        base = 0 if known is None else known.granted
        wanted = WantedLease(
            lease_id=lease_id or self._lease_id(),
            key=key,
            target=base + amount,
            least=base + (amount if least is None else least),
        )
        answer = acquire_leases(
            desk or self.world.desk,
            agent=self.agent,
            request=AcquireRequest(
                mark=self.answered, wanted=(wanted,), customer_ids=tuple(customer_ids)
            ),
            in_vain=in_vain,
        )
        for told in answer.leases:
            if told.lease.granted:
                self._hear(told)
        return answer

    def use(self, event_id: str, *, tokens: int, lease_id: bytes | None = None) -> None:
        """Settles a call against a lease and ships its event."""
        lease = self.leases[lease_id] if lease_id else self._fullest()
        taken = min(tokens, lease.free)
        lease.consumed += taken
        self.push(debited(event_id, tokens=tokens, debits=[(lease.lease_id, taken)]))

    def push(self, *events: Any) -> None:
        """Ships events."""
        self.world.push(self, *events)

    def free(self) -> int:
        """What it may still use without asking."""
        return sum(each.free for each in self.leases.values() if not each.is_closed)

    def come_back_without_disk(self) -> None:
        """Starts anew on an empty disk under its own name."""
        self.disk_id = bytes(reversed(self.disk_id))
        self.sync_no, self.leases, self.terms_revision = 0, {}, 0
        self.next_seq = 1
        self.open()

    def _fullest(self) -> HeldLease:
        return max(self.leases.values(), key=lambda each: each.free)

    def _hear(self, told: ToldLease) -> None:
        known = self.leases.get(told.lease.lease_id)
        if known is None:
            self.leases[told.lease.lease_id] = HeldLease(told)
        else:
            known.hear(told)

    def _hear_terms(self, answer: SyncAnswer) -> None:
        for customer in answer.customers:
            self.known_limits[customer.customer_id] = [each.limit.key for each in customer.limits]
        self.terms_revision = answer.terms_revision

    def _next_number(self) -> None:
        self.sync_no += 1
        self.nonce = self.sync_no.to_bytes(8) + self.disk_id[:8]

    def _lease_id(self) -> bytes:
        return self.disk_id[:12] + next(self._lease_numbers).to_bytes(4)


class LeaseWorld(LimitWorld):
    """A server that grants leases, with agents that hold them."""

    def __init__(self, store: SqlStore, *limits: Limit) -> None:
        super().__init__(store, *limits)
        numbers = count(1)
        self.desk = LeaseDesk(
            store=store,
            clock=self.clock,
            random_bytes=lambda size: b"s" + next(numbers).to_bytes(size - 1),
        )

    def leasing(self, name: str | None = None, *, is_ephemeral: bool = False) -> LeasingAgent:
        """Enrols an agent that takes part in leases."""
        name = name or f"agent-{next(self._numbers)}"
        with self.store.write() as unit:
            enrolled = unit.agents.enroll(
                agent_id=f"agt_{name}",
                name=name,
                token_sha256=name,
                create_time=START,
                is_ephemeral=is_ephemeral,
            )
        return LeasingAgent(self, enrolled)

    def push(self, agent: LeasingAgent, *events: Any) -> None:
        """Ships events of an agent."""
        outcome = self.ingester.push(
            agent.agent,
            push=UsagePush(
                server_incarnation=agent.incarnation,
                session_no=agent.session_no,
                first_seq=agent.next_seq,
                blocks=(block(events, first_seq=agent.next_seq),),
                disk_id=agent.disk_id,
            ),
        )
        assert outcome.tally.counted == len(events)
        agent.next_seq += len(events)

    def key(self, limit_key: str, *, customer: str = "acme") -> WindowKey:
        """Names the window of a limit that runs now."""
        span = self.span(limit_key, customer=customer)
        return WindowKey(customer, limit_key, span.window_id)

    def span(self, limit_key: str, *, customer: str = "acme") -> LimitSpan:
        """Returns the window of a limit that runs now."""
        with self.store.read() as unit:
            sources = LimitBook().sources(
                unit,
                catalog_revision=unit.catalog.revision(),
                customer_id=customer,
                revision=unit.customers.revisions([customer])[customer],
            )
        assert sources is not None
        limit = sources.at(self.clock.now()).get(limit_key)
        assert limit is not None
        return window_at(limit, at=self.clock.now()).span

    def pass_time(self, **span: float) -> None:
        """Lets time pass."""
        self.clock.advance(timedelta(**span))


def want(limit_key: str, per_second: int, *, customer: str = "acme", **changes: Any) -> LeaseWant:
    """Returns demand for a limit."""
    made = LeaseWant(
        agent_ref=0,
        customer_id=customer,
        limit_key=limit_key,
        demand_per_second=per_second,
        largest_call=10,
        update_time=NOON,
    )
    return replace(made, **changes)
