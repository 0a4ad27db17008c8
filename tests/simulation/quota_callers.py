"""Services of a simulated fleet: they ask before they spend, and may forget to end a call."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from meter_agent.core.quota.decide import QuotaRequest
from meter_agent.core.quota.reservation import EndKind, content_of
from meter_agent.quota.answers import Denied, Granted
from meter_agent.quota.ending import End
from meter_agent.quota.reserving import Extend, Reserve
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import MeteringError
from tests.simulation.quota_agent import QuotaAgent
from tests.simulation.quota_truth import QUANTITY, QuotaTruth
from tests.simulation.virtual_threads import Hub, Process, VirtualCondition

ANSWER_SECONDS = 3.0
TRIES_MAX = 4


class Plan(NamedTuple):
    """What a call is going to do, drawn before it begins."""

    customer: str
    amount: int
    least: int
    ttl_seconds: float
    run_seconds: float
    used_share: float
    """Of what was granted; above 1: it uses more."""
    ending: str
    """settle, release, never, or elsewhere."""
    extends: bool


def drawn_plan(source: random.Random, customers: tuple[str, ...], *, most: int) -> Plan:
    """Draws what a call does."""
    ttl = source.choice((1.0, 3.0, 8.0))
    amount = source.randint(1, most)
    return Plan(
        customer=source.choice(customers),
        amount=amount,
        least=source.choice((amount, amount, 1)),
        ttl_seconds=ttl,
        run_seconds=source.random() * ttl * source.choice((0.5, 0.5, 1.5, 4.0)),
        used_share=source.choice((0.0, 0.5, 1.0, 1.0, 1.0, 1.3)),
        ending=source.choice(("settle",) * 6 + ("release", "never", "elsewhere")),
        extends=source.random() < 0.2,
    )


def tidied(plan: Plan) -> Plan:
    """Returns a call that uses no more than it reserved, where it reserved it, and in time."""
    ending = "settle" if plan.ending == "elsewhere" else plan.ending
    return plan._replace(
        used_share=min(plan.used_share, 1.0),
        run_seconds=min(plan.run_seconds, plan.ttl_seconds),
        ending=ending,
    )


def quantities(amount: int) -> dict[str, Decimal]:
    """Returns an amount as quantities."""
    return {QUANTITY: Decimal(amount)}


class Services:
    """The process in which all callers live, each in a thread of its own."""

    def __init__(self, hub: Hub, *, truth: QuotaTruth, agents: list[QuotaAgent]) -> None:
        self._hub, self._world, self._truth, self._agents = hub, hub.world, truth, agents
        self.process = Process("services")
        with hub.building(self.process):
            pass

    def begin(self, work: Callable[[], None]) -> None:
        """Runs a caller."""
        self._hub.run(self.process, work)

    def ask(self, agent: QuotaAgent, work: Callable[[QuotaAgent], Any]) -> Any:
        """Asks an agent once; returns its answer, its error, or None where neither came in time."""
        world, box = self._world, []
        heard = VirtualCondition(self._hub)

        def reply(answer: Any) -> None:
            world.send(agent.name, "caller", lambda: hear(answer))

        def hear(answer: Any) -> None:
            box.append(answer)
            heard.notify_all()

        world.send("caller", agent.name, lambda: agent.serve(work, reply=reply))
        heard.wait_for(lambda: box, ANSWER_SECONDS)
        return box[0] if box else None

    def insist(self, agent: QuotaAgent, work: Callable[[QuotaAgent], Any]) -> Any:
        """Asks again where there is no answer, or none that is final."""
        for _ in range(TRIES_MAX):
            answer = self.ask(agent, work)
            is_final = not isinstance(answer, MeteringError) or answer.reason in FINAL
            if answer is not None and is_final:
                return answer
            self._hub.sleep(self._world.source.random())
        return None

    def call(self, name: str, plan: Plan) -> None:
        """Lives through a call that reserves."""
        agent = self._world.source.choice(self._agents)
        answer = self.reserve(agent, name, plan)
        if not isinstance(answer, Granted):
            return
        granted = int(answer.reservation.granted[QUANTITY])
        self._hub.sleep(plan.run_seconds / 2)
        if plan.extends:
            granted = self._extend(agent, name, plan) or granted
        self._hub.sleep(plan.run_seconds / 2)
        if plan.ending != "never":
            self._end(agent, name, plan, int(granted * plan.used_share))

    def reserve(self, agent: QuotaAgent, name: str, plan: Plan) -> Granted | Denied | None:
        """Asks for a reservation."""
        self._truth.asked.setdefault(name, self._world.now)
        asked, minimum = quantities(plan.amount), {}
        if plan.least < plan.amount:
            minimum = quantities(plan.least)
        reserve = Reserve(
            reservation_id=name,
            request=QuotaRequest(
                customer_id=plan.customer, quantities=asked, minimum_quantities=minimum
            ),
            content=content_of(quantities=asked, minimum_quantities=minimum),
            ttl_us=round(plan.ttl_seconds * 1_000_000),
        )

        def work(at: QuotaAgent) -> Any:
            found = at.parts.desk.reserve(reserve, timeout_seconds=ANSWER_SECONDS)
            if isinstance(found, Granted):
                self._note(plan, at, found)
            return found

        answer = self.insist(agent, work)
        if isinstance(answer, Denied):
            self._truth.answers[answer.passed.denial.reason.value] += 1
        self._truth.answers["granted"] += isinstance(answer, Granted)
        return answer if isinstance(answer, Granted | Denied) else None

    def _note(self, plan: Plan, at: QuotaAgent, found: Granted) -> None:
        now_us = at.clock.now_us()
        self._truth.granted(plan.customer, at.name, found.reservation, now_us=now_us)

    def _extend(self, agent: QuotaAgent, name: str, plan: Plan) -> int | None:
        self._truth.extended.add(name)
        more = quantities(plan.amount) if self._world.source.random() < 0.5 else {}
        extend = Extend(
            reservation_id=name,
            request_id="x",
            quantities=more,
            content=content_of(quantities=more),
        )

        def work(at: QuotaAgent) -> Any:
            found = at.parts.desk.extend(extend, timeout_seconds=ANSWER_SECONDS)
            if isinstance(found, Granted):
                self._note(plan, at, found)
            return found

        answer = self.insist(agent, work)
        if not isinstance(answer, Granted):
            return None
        return int(answer.reservation.granted[QUANTITY])

    def _end(self, agent: QuotaAgent, name: str, plan: Plan, used: int) -> None:
        kind = EndKind.RELEASE if plan.ending == "release" else EndKind.SETTLE
        if plan.ending == "elsewhere":
            agent = self._world.source.choice(self._agents)
        if kind is EndKind.RELEASE:
            used = used if self._world.source.random() < 0.5 else 0
        named = quantities(used) if used else {}
        end = End(
            kind=kind,
            reservation_id=name,
            customer_id=plan.customer,
            quantities=named,
            content=content_of(quantities=named),
        )
        self._truth.answers["ended " + plan.ending] += 1

        def work(at: QuotaAgent) -> Any:
            ended = at.parts.desk.end(
                end,
                receive_time_us=at.clock.wall_us(),
                caller="",
                timeout_seconds=ANSWER_SECONDS,
            )
            if not ended.event_id:
                self._truth.unused(name, agent=at.name)
            return ended

        self.insist(agent, work)
        if self._world.source.random() < 0.1:
            self.insist(self._world.source.choice((agent, *self._agents)), work)

    def record(self, event_id: str, customer: str, amount: int) -> None:
        """Records usage that nobody reserved."""
        self._truth.asked.setdefault(event_id, self._world.now)
        event = UsageEvent(
            event_id=event_id, customer_id=customer, quantities={QUANTITY: str(amount)}
        )

        def work(at: QuotaAgent) -> Any:
            block, now_us = UsageEvents(events=[event]).SerializeToString(), at.clock.wall_us()
            times = {"receive_time_us": now_us, "oldest_event_time_us": now_us}
            if at.parts.desk.is_limited([event]):
                operation = at.parts.desk.usage_operation([event], block=block, caller="", **times)
                at.writer.submit(operation)
                operation.ticket.wait(ANSWER_SECONDS)
            else:
                at.writer.append(block, event_count=1, **times).wait(ANSWER_SECONDS)
            return "recorded"

        self.insist(self._world.source.choice(self._agents), work)


FINAL = {
    "RESERVATION_ENDED",
    "RESERVATION_UNKNOWN",
    "SETTLEMENT_CONFLICT",
    "RESERVATION_ID_REUSED",
    "EXTENSION_ID_REUSED",
}
