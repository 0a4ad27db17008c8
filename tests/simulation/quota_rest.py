"""What must hold in a simulated fleet under limits once nothing goes wrong any more."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from billing_server.domain.limit.lease import LeaseState, WindowKey
from billing_server.services.forget_agent import release_lease
from billing_server.services.limit_views import LimitView, show_limits
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.quota.answers import Granted
from metering.limits import LimitKind
from tests.simulation.fleet_truth import Violation
from tests.simulation.quota_callers import Plan
from tests.simulation.quota_drawing import FAULT_SECONDS, LATE_SECONDS
from tests.simulation.quota_money import affordable
from tests.simulation.quota_truth import QUANTITY, adds_up

if TYPE_CHECKING:
    from tests.simulation.quota_fleet import QuotaFleet

LOOK_SECONDS = 2.5
REST_SECONDS_MAX = 120.0
"""Every hold has expired and gone back by then, and every lease with a time to live has ended."""
PROBE_SECONDS = 30.0
"""Longer than a sync hangs: until then the server may not know that a hold has ended."""
STRAGGLERS_END = 2 * FAULT_SECONDS + 1.0 + 8.0 + LATE_SECONDS
"""What was sent among faults may arrive so much later, reserve, expire and go back: from then on
nobody but who asks holds anything."""
PROBES_MAX = 50
_ADDED_UP = (LimitKind.UNITS, LimitKind.MONEY, LimitKind.ROLLING)


def judge_rest(fleet: "QuotaFleet") -> None:
    """Judges a fleet at rest, then lets people clear up, and asks for all that is left.

    Raises:
        Violation: Something is stuck, lost or wrongly refused.
    """
    _come_to_rest(fleet, _judge_agents, _judge_settled, _judge_ledger)
    _forget_lost_disks(fleet)
    _come_to_rest(fleet, _judge_budgets)
    for customer in fleet.customers:
        probe(fleet, customer)


def _come_to_rest(fleet: "QuotaFleet", *judges: "Callable[[QuotaFleet], None]") -> None:
    """Lets time pass until nothing is wrong; it must not take long."""
    end = fleet.world.now + REST_SECONDS_MAX
    while True:
        try:
            for judge in judges:
                judge(fleet)
        except Violation:
            if fleet.world.now >= end:
                raise
            fleet.world.run(fleet.world.now + LOOK_SECONDS)
        else:
            return


def _judge_budgets(fleet: "QuotaFleet") -> None:
    for customer in fleet.customers:
        _judge_budget(fleet, customer)


def _judge_agents(fleet: "QuotaFleet") -> None:
    for agent in fleet.agents:
        positions = agent.writer.state.positions
        if not agent.is_up or positions.buffered_count or not positions.session_no:
            raise Violation(f"{agent.name} is stuck: {positions}")
        if open_ := agent.parts.counter.book.all_reservations():
            raise Violation(f"{agent.name} still holds {open_}")
    held = fleet.server.rows(
        "SELECT a.name, l.customer_id, l.limit_key, l.window_id, l.state, l.held FROM lease l "
        "JOIN agent a ON a.ref = l.agent_ref WHERE l.held > 0 AND l.state = 'live'"
    )
    if held and fleet.truth.is_straight:
        raise Violation(f"at the server something is still held: {held}")


def _judge_settled(fleet: "QuotaFleet") -> None:
    """What is settled is what the counted events say, each once."""
    used: Counter[tuple[str, str]] = Counter()
    unborne: Counter[tuple[str, str]] = Counter()
    debited: Counter[bytes] = Counter()
    windows = fleet.truth.windows
    count = 0
    for event in fleet.server.counted_events():
        count += 1
        for (customer, key), limit in fleet.truth.limits.items():
            if customer == event.customer_id and adds_up(limit):
                cost = int(event.quantities[QUANTITY])
                used[customer, key] += cost
                named = [windows[debit.lease_id].limit_key for debit in event.debits]
                unborne[customer, key] += 0 if key in named else cost
        for debit in event.debits:
            debited[debit.lease_id] += debit.amount
    if fleet.truth.is_straight and count != len(fleet.truth.costs):
        raise Violation(f"{count} events are counted, and {len(fleet.truth.costs)} were recorded")
    settled: Counter[tuple[str, str]] = Counter()
    for customer, key, amount in fleet.server.rows(
        "SELECT customer_id, limit_key, settled FROM limit_account"
    ):
        settled[customer, key] += amount
    for pair, amount in used.items():
        # What falls into an ended window that nobody was ever granted from, as far as a restored
        # server knows, has no account.
        least = amount - unborne[pair] if fleet.truth.is_straight else 0
        if not least <= settled[pair] <= amount:
            raise Violation(f"{pair}: {settled[pair]} are settled, {amount} were counted")
    recorded = fleet.truth.recorded_debits()
    for lease_id, amount in fleet.server.rows("SELECT lease_id, settled FROM lease"):
        # What was recorded once more is taken back: of each event once where nothing went back.
        least = recorded[lease_id] if fleet.truth.is_straight else debited[lease_id]
        if not least <= amount <= recorded[lease_id]:
            raise Violation(
                f"lease {lease_id.hex()}: {amount} settled, {debited[lease_id]} counted, "
                f"{recorded[lease_id]} recorded"
            )


def _judge_ledger(fleet: "QuotaFleet") -> None:
    """What is granted is consumed, returned, free, or presumed used: alike on both sides."""
    doubled = fleet.truth.doubled()
    kept = {
        row[0]: row[1:]
        for row in fleet.server.rows(
            "SELECT lease_id, granted, returned, settled, state FROM lease WHERE burst = 0"
        )
    }
    for agent in fleet.agents:
        for lease in agent.parts.counter.book.all_leases():
            if lease.lease_id == OFFLINE_LEASE_ID or lease.is_share or not lease.granted:
                continue
            if lease.lease_id not in kept:
                raise Violation(f"{agent.name}: the server does not know {lease}")
            granted, returned, settled, state = kept[lease.lease_id]
            mine = (lease.granted, lease.returned, lease.consumed)
            if lease.lease_id in doubled:
                continue
            is_given_up = state in {LeaseState.RECLAIMED, LeaseState.WRITTEN_OFF}
            if fleet.truth.is_straight and is_given_up and granted > returned + settled:
                raise Violation(f"{agent.name} came back, and {lease} is still {state}")
            if fleet.truth.is_straight and mine != (granted, returned, settled):
                is_slot = settled == 0 and lease.consumed == 0
                if not is_slot:
                    raise Violation(
                        f"{agent.name}: {mine} of {lease}, the server has "
                        f"{granted, returned, settled} {state}"
                    )


def _forget_lost_disks(fleet: "QuotaFleet") -> None:
    """An operator gives up disks that never come back, and what they are presumed to have used."""
    alive = {agent.writer.state.positions.disk_id for agent in fleet.agents}
    for name, disk_id in fleet.server.rows("SELECT name, disk_id FROM agent"):
        if disk_id is not None and disk_id not in alive:
            fleet.server.forget(name)
    for lease_id, customer, key, window, rest in fleet.server.rows(
        "SELECT lease_id, customer_id, limit_key, window_id, "
        "MAX(0, granted - returned - settled) FROM lease WHERE state = 'written_off'"
    ):
        release_lease(fleet.server.context, lease_id=lease_id, actor="people")
        fleet.truth.allow(WindowKey(customer, key, window), rest)


def _views(fleet: "QuotaFleet", customer: str) -> list[LimitView]:
    views = show_limits(fleet.server.context, customer_id=customer)
    return [view for view in views if view.limit.kind in _ADDED_UP]


def _judge_budget(fleet: "QuotaFleet", customer: str) -> None:
    """Nothing is lost: what is not used is left, or free at an agent that may spend it."""
    doubled = fleet.truth.doubled()
    for view in _views(fleet, customer):
        free = 0
        for agent in fleet.agents:
            now_us = agent.clock.now_us()
            free += sum(
                lease.free
                for lease in agent.parts.counter.book.leases_of(customer)
                if lease.limit_key == view.limit.key
                and lease.window_id == view.span.window_id
                and lease.lease_id != OFFLINE_LEASE_ID
                and lease.is_usable(now_us)
            )
        live = sum(each.lease.rest for each in view.shares if each.lease.state is LeaseState.LIVE)
        lost = sum(
            doubled[each.lease.lease_id]
            for each in view.shares
            if each.lease.state is LeaseState.LIVE
        )
        # Two copies of a disk may both count what one of them has spent.
        most = live if fleet.truth.is_straight else max(live, free)
        if not free <= most <= free + lost:
            raise Violation(f"{customer} {view.limit.key}: {live} are out, {free} can be spent")


def probe(fleet: "QuotaFleet", customer: str) -> None:
    """Asks for all that is left, and must get it."""
    kinds = {view.limit.kind for view in show_limits(fleet.server.context, customer_id=customer)}
    if LimitKind.RATE in kinds:
        return
    agent = fleet.world.source.choice(fleet.agents)
    answers: list[object] = []

    def ask() -> None:
        for number in range(PROBES_MAX):
            # Anew for each try: a request that was long on its way may have been heard meanwhile.
            amount = _left(fleet, customer)
            if amount < 1:
                return
            plan = Plan(customer, amount, amount, 3.0, 0.0, 0.0, "release", extends=False)
            answer = fleet.services.reserve(agent, f"probe-{customer}-{number}", plan)
            answers.append(answer)
            if isinstance(answer, Granted):
                fleet.truth.answers[f"all of it at try {number + 1}"] += 1
                return
            fleet.hub.sleep(2.5)

    def is_over() -> bool:
        return _left(fleet, customer) < 1 or any(isinstance(each, Granted) for each in answers)

    if is_over():
        return
    fleet.services.begin(ask)
    end = max(fleet.world.now, STRAGGLERS_END) + PROBE_SECONDS
    while fleet.world.now < end and not is_over():
        fleet.world.run(fleet.world.now + 0.25)
    if not is_over():
        last, left = answers[-1] if answers else None, _left(fleet, customer)
        raise Violation(f"{customer}: {left} are left, and {agent.name} was answered {last}")


def _left(fleet: "QuotaFleet", customer: str) -> int:
    """Returns what may be had of every limit of a customer, in units."""
    doubled = fleet.truth.doubled()
    found = []
    for view in _views(fleet, customer):
        left = view.maximum - view.escrow.settled - view.escrow.unknown
        left -= sum(doubled[each.lease.lease_id] for each in view.shares)
        found.append(affordable(left) if view.limit.kind is LimitKind.MONEY else left)
    return min(found)
