"""Calls of the small world: reservations, their ends, and the usage events that come of them."""

from collections.abc import Iterator
from decimal import Decimal

from meter_agent.core.quota import reservation as reservations
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, QuotaRequest, Reach, Verdict, decide
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import Ending, EndKind, Reservation, ReservationState
from meter_agent.core.quota.settle import Effect, give_back, hold_all
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from metering.limits import LimitKind, OfflinePolicy
from tests.simulation.lease_world import (
    CUSTOMER,
    LIMIT,
    Disk,
    Row,
    Rules,
    World,
    plus,
    with_disk,
)


class Amounts(dict[str, Decimal]):
    """Quantities that can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def terms_of(world: World) -> CustomerTerms:
    policy = OfflinePolicy.ALLOWANCE if world.allowance else OfflinePolicy.CLOSED
    limit = LimitTerms(
        limit_key=LIMIT,
        kind=LimitKind.UNITS,
        quantity="t",
        when_offline=policy,
        allowance=world.allowance,
    )
    return CustomerTerms(customer_id=CUSTOMER, limits=(limit,))


def reserve(world: World, index: int) -> Iterator[tuple[str, World]]:
    agent = world.agents[index]
    if not world.calls_left:
        return
    reach = Reach.ANSWERED if agent.disk.positions.session_no else Reach.AWAY
    name = f"r{world.calls_left}"
    for amount in world.amounts:
        quantities = Amounts(t=Decimal(amount))
        decision = decide(
            QuotaRequest(customer_id=CUSTOMER, quantities=quantities),
            terms=terms_of(world),
            leases=agent.disk.leases,
            reach=reach,
            now_us=0,
        )
        if decision.verdict is Verdict.GRANTED:
            held = hold_all(decision.takes, leases=agent.disk.leases, now_us=0)
            reservation = Reservation(
                customer_id=CUSTOMER,
                reservation_id=name,
                content=reservations.content_of(quantities=quantities),
                granted=quantities,
                takes=decision.takes,
                used_so_far=Amounts(),
            )
            disk = put_reservation(put_leases(agent.disk, held), reservation)
            after = with_disk(world, index, disk)._replace(calls_left=world.calls_left - 1)
            yield f"reserve {amount} as {name} at {index}", after


def endings(
    world: World, index: int, found: Reservation, rules: Rules
) -> Iterator[tuple[str, World]]:
    granted = int(found.granted["t"])
    if found.holds:
        yield f"settle {found.reservation_id}", end(world, index, found, rules, used=granted)
        if granted > 1:
            less = end(world, index, found, rules, used=granted - 1)
            yield f"settle less of {found.reservation_id}", less
        yield f"release {found.reservation_id}", end(world, index, found, rules, used=0)
    if found.state is ReservationState.EXPIRED and found.holds:
        yield (
            f"give {found.reservation_id} back",
            with_disk(world, index, dropped(world.agents[index].disk, found)),
        )


def end(
    world: World, index: int, found: Reservation, rules: Rules, *, used: int, overrated: int = 0
) -> World:
    """Settles a reservation, or releases it where nothing was used."""
    disk = world.agents[index].disk
    quantities = Amounts(t=Decimal(used)) if used else Amounts()
    content = reservations.content_of(quantities=quantities)
    kind = EndKind.SETTLE if used else EndKind.RELEASE
    case = rules.case_of_ending(
        found, kind=kind, content=content, reservation_id=found.reservation_id
    )
    if case is reservations.EndCase.REPEATED:
        return world
    effect = rules.settle(
        found,
        terms=terms_of(world),
        leases=disk.leases,
        dimensions={},
        quantities=quantities,
        now_us=0,
    )
    # Use beyond what was granted is excused, and all of it where the hold had gone back.
    beyond = used if found.is_returned else max(0, used - int(found.granted["t"]))
    name = f"{found.reservation_id}-settle" if used else ""
    ended = reservations.ended(found, ending=Ending(kind=kind, content=content, event_id=name))
    world = with_disk(world, index, put_reservation(put_leases(disk, effect.leases), ended))
    if not used:
        return world
    return record(
        world,
        index,
        name,
        effect,
        used=used + overrated,
        excused=beyond + overrated,
        reservation=found.reservation_id,
    )


def record(
    world: World,
    index: int,
    name: str,
    effect: Effect,
    *,
    used: int,
    excused: int,
    reservation: str = "",
) -> World:
    """Writes a usage event, and notes what only an onlooker knows: that its use has happened."""
    agent = world.agents[index]
    windows = {each.lease_id: each.window_id for each in agent.disk.leases}
    costs: tuple[tuple[str, int], ...] = ()
    for lease_id, amount in effect.debits:
        costs = plus(costs, windows[lease_id], amount)
    rest = used - sum(amount for _, amount in costs)
    # What no lease bore belongs to the window of the allowance that bore it, or to the current one.
    bearers = {each.lease_id: each.window_id for each in effect.leases}
    last = costs[0][0] if costs else bearers.get(OFFLINE_LEASE_ID, world.server.window)
    costs = plus(costs, last, rest)
    row = Row(name, costs, effect.debits, reservation)
    disk = agent.disk._replace(rows=(*agent.disk.rows, row))
    world = with_disk(world, index, disk)
    if name in world.done:
        return world
    total = world.used
    for window, cost in costs:
        total = plus(total, window, cost)
    return world._replace(
        used=total, excused=plus(world.excused, last, excused), done=world.done | {name}
    )


def dropped(disk: Disk, found: Reservation) -> Disk:
    effect = give_back(found, leases=disk.leases, now_us=0)
    disk = put_leases(disk, effect.leases)
    gone = reservations.returned(reservations.expired(found))
    return put_reservation(disk, gone)


def put_leases(disk: Disk, leases: tuple[Lease, ...]) -> Disk:
    changed = {(each.lease_id, each.limit_key): each for each in disk.leases}
    changed |= {(each.lease_id, each.limit_key): each for each in leases}
    ordered = sorted(changed.values(), key=lambda each: each.lease_id)
    return disk._replace(leases=tuple(ordered))


def put_reservation(disk: Disk, found: Reservation) -> Disk:
    others = [each for each in disk.reservations if each.reservation_id != found.reservation_id]
    ordered = sorted((*others, found), key=lambda each: each.reservation_id)
    return disk._replace(reservations=tuple(ordered))


def reservation_of(disk: Disk, name: str) -> Reservation | None:
    return next((each for each in disk.reservations if each.reservation_id == name), None)
