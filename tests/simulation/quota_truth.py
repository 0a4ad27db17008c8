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
from tests.simulation.quota_money import LOWEST_UNIT, scaled

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
    asked: float
    """When its caller first asked for it."""
    noted: float
    """When all of it had been granted."""
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
    asked: dict[str, float] = field(default_factory=dict)
    """When a caller first asked for a reservation, or to record an event."""
    extended: set[str] = field(default_factory=set)
    """Reservations of which somebody has asked for more."""
    moments: dict[EventKey, tuple[float, float]] = field(default_factory=dict)
    """Between which moments an event's use was taken from its leases."""
    unforeseen: dict[EventKey, list[dict[bytes, int]]] = field(default_factory=dict)
    """Debits of what was used and no reservation held: estimates may be too low from then on."""
    estimated: set[str] = field(default_factory=set)
    """Customers of whom estimates could be judged."""

    # --- what happens

    def limit_set(self, customer: str, limit: Limit) -> None:
        """Notes a limit, or its change."""
        key = (customer, limit.key)
        self.limits[key] = limit
        self.history.setdefault(key, []).append((self.world.now, scaled(limit, limit.maximum)))

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
        name, amount = reservation.reservation_id, int(reservation.granted[QUANTITY])
        before = self.calls.get(name)
        self.calls[name] = HeldCall(
            agent,
            customer,
            amount,
            end + self.late_seconds,
            now if before is None else before.begin,
            end,
            self.asked[name],
            before.noted if before is not None and amount == before.granted else now,
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
        debits = debits_of(event)
        self.versions.setdefault(name, []).append(debits)
        call = self.calls.get(event.settlement.reservation_id)
        is_foreseen = False
        if call is not None and call.agent == agent and self.is_straight:
            is_in_time = event.settlement.kind in _IN_TIME
            if is_in_time:
                call.used = cost
            is_foreseen = is_in_time or self.world.now < call.presumed_until
            is_foreseen &= cost <= call.granted
        self._taken(event, None if call is None or not is_foreseen else call)
        return self._problem_of_debits(event, debits, cost) if is_foreseen else ""

    def _taken(self, event: usage_pb2.UsageEvent, call: HeldCall | None) -> None:
        """Notes when use was taken from leases: with its reservation, or as it was recorded."""
        name = event.settlement.reservation_id or event.event_id
        is_held = call is not None and name not in self.extended
        last = call.noted if call is not None and is_held else self.world.now
        key = (event.customer_id, event.event_id)
        if call is None:
            self.unforeseen.setdefault(key, []).append(debits_of(event))
        before = self.moments.get(key, (self.asked[name], 0.0))
        self.moments[key] = (before[0], max(before[1], last))

    def _problem_of_debits(
        self, event: usage_pb2.UsageEvent, debits: dict[bytes, int], cost: int
    ) -> str:
        for (customer, limit_key), limit in self.limits.items():
            is_counted = limit.is_money or adds_up(limit)
            if customer != event.customer_id or not is_counted:
                continue
            borne = sum(
                amount
                for lease_id, amount in debits.items()
                if self.windows[lease_id].limit_key == limit_key
            )
            is_closed = limit.when_offline is OfflinePolicy.CLOSED
            least = LOWEST_UNIT * cost if limit.is_money else cost
            if (borne > cost and not limit.is_money) or (is_closed and borne < least):
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
        used = {(event.customer_id, event.event_id): debits_of(event) for event in counted}
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
            bound = self.bound(key)
            # Of money less counts than leases bore; what a rolling window sees is judged apart.
            if is_units(limit) and amount > bound:
                raise Violation(f"{amount} were used of {key}, and at most {bound} may be")

    def is_foreseen(self, customer: str, counted: Iterable[usage_pb2.UsageEvent]) -> bool:
        """Tells whether all that was counted of a customer was held by reservations before."""
        return not any(
            event.customer_id == customer
            and debits_of(event) in self.unforeseen.get((customer, event.event_id), ())
            for event in counted
        )

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

    def bound(self, key: WindowKey) -> int:
        """Returns what may be used of a window where each use is reserved."""
        limit = self.limits[key.customer_id, key.limit_key]
        return self.highest(key) + scaled(limit, limit.reclaim_max) + self.extra[key]

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
        for first in calls:
            total = 0
            later = (call for call in calls if call.asked >= first.asked)
            for last in sorted(later, key=lambda call: call.noted):
                total += last.granted if last.used is None else min(last.used, last.granted)
                # All of these were granted in between.
                seconds = last.noted - first.asked
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
    return adds_up(limit) and limit.window.unit is not WindowUnit.ROLLING


def adds_up(limit: Limit) -> bool:
    """Tells whether a limit adds usage up, which is no rate."""
    return limit.subject is LimitSubject.METER and limit.window.unit is not WindowUnit.MINUTE


def debits_of(event: usage_pb2.UsageEvent) -> dict[bytes, int]:
    return {each.lease_id: each.amount for each in event.debits}
