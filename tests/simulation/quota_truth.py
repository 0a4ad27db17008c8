"""What only an onlooker knows of a simulated fleet under limits, and what must hold in it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.limit.lease import WindowKey
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import Reservation, ReservationState
from metering.api.v1 import usage_pb2
from metering.clock import parse_instant
from metering.limits import OfflinePolicy
from tests.simulation.fleet_truth import Violation
from tests.simulation.fleet_world import World

QUANTITY = "input_tokens"
PREFETCH_SECONDS = 21.0
EventKey = tuple[str, str]
_IN_TIME = (usage_pb2.SETTLEMENT_KIND_SETTLED, usage_pb2.SETTLEMENT_KIND_RELEASED)


@dataclass
class HeldCall:
    """What the caller of a reservation was told."""

    agent: str
    customer: str
    granted: int
    presumed_until: float
    """When it goes back at the latest, where nobody ends or renews it."""
    begin: float
    end: float
    """When it ends by itself."""
    used: int | None = None
    """What it was settled with in time; None: it was not."""


@dataclass
class QuotaTruth:
    """Follows limits, grants and usage from outside."""

    world: World
    start: datetime
    late_seconds: float
    is_straight: bool
    """Whether neither a disk nor the server goes back or is copied in this world."""
    limits: dict[tuple[str, str], Limit] = field(default_factory=dict)
    history: dict[tuple[str, str], list[tuple[float, int]]] = field(default_factory=dict)
    calls: dict[str, HeldCall] = field(default_factory=dict)
    costs: dict[EventKey, int] = field(default_factory=dict)
    versions: dict[EventKey, list[dict[bytes, int]]] = field(default_factory=dict)
    windows: dict[bytes, WindowKey] = field(default_factory=dict)
    extra: Counter[WindowKey] = field(default_factory=Counter)
    """What disks that went back, copies and restores add to the bound, by window."""
    answers: Counter[str] = field(default_factory=Counter)

    # --- what happens

    def limit_set(self, customer: str, limit: Limit) -> None:
        """Notes a limit, or its change."""
        key = (customer, limit.key)
        self.limits[key] = limit
        self.history.setdefault(key, []).append((self.world.now, int(limit.maximum)))

    def allow(self, key: WindowKey, amount: int) -> None:
        """Adds to the bound of a window."""
        if amount:
            self.extra[key] += amount

    def granted(self, customer: str, agent: str, reservation: Reservation, *, now_us: int) -> None:
        """Notes what a caller was told.

        Args:
            customer: Whose quota.
            agent: That holds it.
            reservation: As it stands there.
            now_us: The agent's clock of leases.
        """
        if reservation.state is not ReservationState.HELD:
            return  # A late double of the request: it has ended meanwhile.
        now = self.world.now
        end = now + (reservation.expires_at_us - now_us) / 1e6
        before = self.calls.get(reservation.reservation_id)
        self.calls[reservation.reservation_id] = HeldCall(
            agent,
            customer,
            int(reservation.granted[QUANTITY]),
            end + self.late_seconds,
            now if before is None else before.begin,
            end,
        )

    def unused(self, name: str, *, agent: str) -> None:
        """Notes that a call has ended at its agent without usage: its share of a rate is back."""
        call = self.calls.get(name)
        if call is not None and call.agent == agent:
            call.used = 0

    def recorded(self, event: usage_pb2.UsageEvent, *, agent: str, leases: Iterable[Lease]) -> str:
        """Notes usage that is durable at an agent; returns what is wrong with it."""
        for lease in leases:
            if lease.lease_id:
                key = WindowKey(lease.customer_id, lease.limit_key, lease.window_id)
                self.windows[lease.lease_id] = key
        name = (event.customer_id, event.event_id)
        cost = self.costs[name] = int(event.quantities[QUANTITY])
        debits = _debits_of(event)
        self.versions.setdefault(name, []).append(debits)
        call = self.calls.get(event.settlement.reservation_id)
        if call is None or call.agent != agent or not self.is_straight:
            return ""
        is_covered = event.settlement.kind in _IN_TIME or self.world.now < call.presumed_until
        if event.settlement.kind in _IN_TIME:
            call.used = cost
        if not is_covered or cost > call.granted:
            return ""
        return self._problem_of_debits(event, debits, cost)

    def _problem_of_debits(
        self, event: usage_pb2.UsageEvent, debits: dict[bytes, int], cost: int
    ) -> str:
        for (customer, limit_key), limit in self.limits.items():
            if customer != event.customer_id or not is_units(limit):
                continue
            borne = sum(
                amount
                for lease_id, amount in debits.items()
                if self.windows[lease_id].limit_key == limit_key
            )
            is_closed = limit.when_offline is OfflinePolicy.CLOSED
            if borne > cost or (is_closed and borne != cost):
                return f"{event.event_id} cost {cost} of {limit_key}, and its leases bore {borne}"
        return ""

    def looked_at(self, agent: str, is_held: "Callable[[str], bool]") -> None:
        """Notes which calls have ended, after a commit of their agent."""
        for name, call in self.calls.items():
            if call.agent == agent and not is_held(name):
                call.end = min(call.end, self.world.now)

    def problem_of_holds(self, leases: Sequence[Lease], open_: Sequence[Reservation]) -> str:
        """Returns how what leases hold differs from what reservations hold; empty: not at all."""
        held: Counter[tuple[str, str, bytes]] = Counter()
        for found in open_:
            for take in found.takes:
                held[found.customer_id, take.limit_key, take.lease_id] += take.amount
        for lease in leases:
            expected = held[lease.customer_id, lease.limit_key, lease.lease_id]
            if not lease.is_share and lease.held != expected:
                return f"{lease} holds {lease.held}, its reservations hold {expected}"
        return ""

    # --- what must hold

    def judge_bound(self, counted: Iterable[usage_pb2.UsageEvent]) -> None:
        """Holds what leases bore against what there was of each window.

        Args:
            counted: every event as the server counted it. One that was recorded twice, across the
                end of a window, was used in the window of that one alone.

        Raises:
            Violation: A limit was passed by more than the bound.
        """
        used = {(event.customer_id, event.event_id): _debits_of(event) for event in counted}
        borne: Counter[WindowKey] = Counter()
        for name, recorded in self.versions.items():
            # Used once, however often it was recorded; until it is counted, wherever it may be.
            versions = [used[name]] if name in used else recorded
            most: Counter[WindowKey] = Counter()
            for debits in versions:
                of_version: Counter[WindowKey] = Counter()
                for lease_id, amount in debits.items():
                    of_version[self.windows[lease_id]] += amount
                most |= of_version
            borne.update(most)
        for key, amount in sorted(borne.items()):
            limit = self.limits[key.customer_id, key.limit_key]
            bound = self.highest(key) + int(limit.reclaim_max) + self.extra[key]
            if amount > bound:
                raise Violation(f"{amount} were used of {key}, and at most {bound} may be")

    def recorded_debits(self) -> Counter[bytes]:
        """Returns what all recordings debited, by lease."""
        found: Counter[bytes] = Counter()
        for versions in self.versions.values():
            for debits in versions:
                found.update(debits)
        return found

    def doubled(self) -> Counter[bytes]:
        """Returns what may stay escrowed of leases because one event was recorded twice.

        The recording that comes second is not counted. Its debits are taken back, unless a copy of
        their disk shipped it.
        """
        found: Counter[bytes] = Counter()
        if self.is_straight:
            return found
        for versions in self.versions.values():
            for debits in versions if len(versions) > 1 else ():
                found.update(debits)
        return found

    def highest(self, key: WindowKey) -> int:
        """Returns the largest limit that was in force while a window could be granted from."""
        changes = self.history[key.customer_id, key.limit_key]
        began, text = 0.0, key.window_id.split("/")[0]
        if text[:1].isdigit():
            began = (parse_instant(text) - self.start) / timedelta(seconds=1) - PREFETCH_SECONDS
        before = [value for at, value in changes if at <= began][-1:]
        return max([*before, *(value for at, value in changes if at > began)])

    def judge_rates(self) -> None:
        """Holds calls against the rates and slots of their customers.

        Raises:
            Violation: A span saw more than its rate and one burst, or too many calls ran at once.
        """
        for (customer, _), limit in self.limits.items():
            calls = sorted(
                (call for call in self.calls.values() if call.customer == customer),
                key=lambda call: call.begin,
            )
            if limit.subject is LimitSubject.CONCURRENCY:
                self._judge_slots(calls, limit)
            elif limit.window.unit is WindowUnit.MINUTE:
                self._judge_rate(calls, limit)

    def _judge_rate(self, calls: list[HeldCall], limit: Limit) -> None:
        for number, first in enumerate(calls):
            total = 0
            for last in calls[number:]:
                total += last.granted if last.used is None else min(last.used, last.granted)
                # A call began up to two seconds before its caller heard of it.
                seconds = last.begin - first.begin + 2.0
                most = int(limit.burst or 0) + int(limit.maximum) * seconds / 60
                if total > most:
                    raise Violation(f"{total} began within {seconds} s under {limit}")

    def _judge_slots(self, calls: list[HeldCall], limit: Limit) -> None:
        for call in calls:
            running = sum(other.begin <= call.begin < other.end for other in calls)
            if running > int(limit.maximum):
                raise Violation(f"{running} calls ran at {call.begin} under {limit}")


def is_units(limit: Limit) -> bool:
    """Tells whether a limit adds usage up in a window of the calendar."""
    is_meter = limit.subject is LimitSubject.METER
    return is_meter and limit.window.unit not in (WindowUnit.MINUTE, WindowUnit.ROLLING)


def _debits_of(event: usage_pb2.UsageEvent) -> dict[bytes, int]:
    return {each.lease_id: each.amount for each in event.debits}
