"""A small world of leases: the real decisions of both sides over tiny models of disk and server.

Nothing here decides: what an agent makes of a call or an answer comes from
`meter_agent.core.quota`, what the server makes of a report, a debit or a silence from
`billing_server.domain.limit`. This module and its neighbours only move values, one step at a time.
Shipping is shortened: an event is counted under its id, in one transaction with its debits; the
search of shipping shows that this is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from billing_server.domain.limit import lease as server_lease
from billing_server.domain.limit.escrow import Escrow, escrow_of
from billing_server.domain.limit.lease import Lease as ServerLease
from billing_server.domain.limit.lease import LeaseReport, LeaseState, WindowKey
from billing_server.domain.limit.numbering import SyncState, decide_sync
from billing_server.domain.session.opening import Opening, Stream
from meter_agent.core.positions import Positions, SessionAnswer
from meter_agent.core.quota import lease as agent_lease
from meter_agent.core.quota import reservation as reservations
from meter_agent.core.quota import settle as settling
from meter_agent.core.quota import sync as syncing
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import Reservation
from meter_agent.core.quota.sync import LeaseNews

CUSTOMER, LIMIT = "acme", "tokens"
CREATED = datetime(2026, 3, 1, tzinfo=UTC)
GRANT_MAX = 2
"""The most that one sync grants."""
WINDOWS = ("w0", "w1")


class Row(NamedTuple):
    """A usage event on an agent's disk."""

    name: str
    costs: tuple[tuple[str, int], ...]
    """Window and what was used of it."""
    debits: tuple[tuple[bytes, int], ...]
    reservation: str = ""
    is_acked: bool = False


class Disk(NamedTuple):
    """What is durable at an agent."""

    positions: Positions
    leases: tuple[Lease, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    rows: tuple[Row, ...] = ()


class Open(NamedTuple):
    """OpenSession on its way, with the counters of all leases on record."""

    name: bytes
    opening: Opening
    reports: tuple[tuple[bytes, str, LeaseReport], ...]


class Sync(NamedTuple):
    """SyncLeases on its way."""

    disk_id: bytes
    session: tuple[str, int]
    sync_no: int
    nonce: bytes
    reports: tuple[tuple[bytes, str, LeaseReport], ...]
    dropped: tuple[str, ...]
    wants: int


class Acquire(NamedTuple):
    """AcquireLease on its way: what the grant of a lease should become."""

    disk_id: bytes
    session: tuple[str, int]
    sync_no: int
    nonce: bytes
    lease_id: bytes
    window: str
    granted: int


class Answer(NamedTuple):
    """The server's answer to any of them."""

    state: str
    """accepted, fenced or identity_taken."""
    session: SessionAnswer | None = None
    news: tuple[LeaseNews, ...] = ()
    settled_elsewhere: tuple[str, ...] = ()


class Agent(NamedTuple):
    """A running agent: its disk, the one call in flight, and what was answered to it."""

    name: bytes
    """As enrolled; a live copy bears the same."""
    disk: Disk
    call: Open | Sync | Acquire | None = None
    answer: Answer | None = None
    mark: tuple[int, bytes] = (0, b"")
    """Number and nonce of the last answered sync or session."""


class Server(NamedTuple):
    """The server's database."""

    limit: int
    incarnation: str = "i0"
    streams: tuple[Stream, ...] = ()
    leases: tuple[ServerLease, ...] = ()
    settled: tuple[tuple[str, int], ...] = ()
    ids: frozenset[str] = frozenset()
    debits: frozenset[tuple[str, bytes]] = frozenset()
    """Event and lease of each debit that was settled."""
    window: str = WINDOWS[0]
    unheard: frozenset[bytes] = frozenset()
    """Agents that must open a session before this restored server grants."""
    elsewhere: tuple[tuple[bytes, str], ...] = ()
    """Disk and reservation of which it is to drop the hold."""

    def stream(self, disk_id: bytes) -> Stream | None:
        return next((each for each in self.streams if each.disk_id == disk_id), None)

    def lease(self, lease_id: bytes) -> ServerLease | None:
        return next((each for each in self.leases if each.lease_id == lease_id), None)

    def of_disk(self, disk_id: bytes) -> tuple[ServerLease, ...]:
        return tuple(each for each in self.leases if each.agent_ref == disk_number(disk_id))


class Faults(NamedTuple):
    """How often each thing may still happen."""

    crash: int = 0
    give_up: int = 0
    double: int = 0
    rollback: int = 0
    clone: int = 0
    lose_disk: int = 0
    backup: int = 0
    restore_noticed: int = 0
    restore_unnoticed: int = 0
    end_quarantine: int = 0
    silence: int = 0
    write_off: int = 0
    release: int = 0
    lower: int = 0
    raise_: int = 0
    recall: int = 0
    return_idle: int = 0
    expire: int = 0
    give_back: int = 0
    overrun: int = 0
    unreserved: int = 0
    elsewhere: int = 0
    next_window: int = 0
    lose_ack: int = 0
    overrated: int = 0


class World(NamedTuple):
    """Everything, with what only an onlooker knows below the line."""

    agents: tuple[Agent, ...]
    server: Server
    faults: Faults
    calls_left: int
    network: frozenset[Open | Sync | Acquire] = frozenset()
    snapshot: Disk | None = None
    backup: Server | None = None
    copied: Positions | None = None
    """Those of a disk when a live copy was made of it."""
    serial: int = 1
    """Makes ids after each fault that could bring an old one back."""
    is_network_slow: bool = False
    """Whether calls and answers take time; else a call is one step with its answer."""
    unknown_max: int = 0
    allowance: int = 0
    amounts: tuple[int, ...] = (1,)
    """What a call may ask for."""
    is_settled_elsewhere: bool = False
    # --- known to the onlooker alone
    used: tuple[tuple[str, int], ...] = ()
    """Window and actual use, with each use beyond its reservation, or without one."""
    excused: tuple[tuple[str, int], ...] = ()
    """Window and what the bound allows beyond the limit: δ, V."""
    highest: tuple[tuple[str, int], ...] = ()
    """Window and the largest limit in force at any grant."""
    extra: int = 0
    """W, and what disks that went back, live copies and restores add."""
    forgotten: tuple[tuple[bytes, int], ...] = ()
    """Agent and what a restored server no longer knows to have granted to it."""
    done: frozenset[str] = frozenset()
    """Calls whose use has happened: a settlement that is repeated uses nothing."""
    violation: str = ""


@dataclass(frozen=True)
class Rules:
    """The functions under test, each replaceable by a mutant."""

    reported: Callable[..., ServerLease] = server_lease.reported
    debited: Callable[..., ServerLease] = server_lease.debited
    silenced: Callable[[ServerLease], ServerLease] = server_lease.reclaimed
    written_off: Callable[[ServerLease], ServerLease] = server_lease.written_off
    recall: Callable[[ServerLease], ServerLease] = server_lease.recalled
    escrow_of: Callable[..., Escrow] = escrow_of
    decide_sync: Callable[..., SyncState] = decide_sync
    settle: Callable[..., settling.Effect] = settling.settle
    case_of_ending: Callable[..., reservations.EndCase] = reservations.case_of_ending
    expire: Callable[[Reservation], Reservation] = reservations.expired
    with_news: Callable[..., Lease] = syncing.with_news
    may_forget: Callable[..., bool] = syncing.may_forget
    reload: Callable[[Lease], Lease] = agent_lease.reloaded
    reset_in_place: bool = False
    waits_for_agents: bool = True
    looks_at_ids: bool = True
    gives_back_at_expiry: bool = False
    forgets_open_windows: bool = False


def disk_number(disk_id: bytes) -> int:
    return int(disk_id[1:])


def plus(
    amounts: tuple[tuple[str, int], ...], window: str, amount: int
) -> tuple[tuple[str, int], ...]:
    """Returns the amounts with one of them raised."""
    found = dict(amounts)
    found[window] = found.get(window, 0) + amount
    return tuple(sorted((name, value) for name, value in found.items() if value))


def report_of(lease: Lease) -> tuple[bytes, str, LeaseReport]:
    told = LeaseReport(
        granted=lease.granted,
        returned=lease.returned,
        consumed=lease.consumed,
        held=lease.held,
        recall_no=lease.recall_no,
        is_closed=lease.is_closed,
    )
    return lease.lease_id, lease.window_id, told


def news_of(lease: ServerLease) -> LeaseNews:
    return LeaseNews(
        lease_id=lease.lease_id,
        customer_id=CUSTOMER,
        limit_key=LIMIT,
        window_id=lease.key.window_id,
        granted=lease.granted,
        returned=lease.returned,
        settled=lease.settled,
        recall_no=lease.recall_no,
        is_closed=lease.state is not LeaseState.LIVE,
    )


def with_lease(server: Server, lease: ServerLease) -> Server:
    others = [each for each in server.leases if each.lease_id != lease.lease_id]
    leases = sorted((*others, lease), key=lambda each: each.lease_id)
    return server._replace(leases=tuple(leases))


def with_stream(server: Server, stream: Stream) -> Server:
    others = [each for each in server.streams if each.disk_id != stream.disk_id]
    streams = sorted((*others, stream), key=lambda each: each.disk_id)
    return server._replace(streams=tuple(streams))


def new_lease(lease_id: bytes, disk_id: bytes, window: str) -> ServerLease:
    return ServerLease(
        lease_id=lease_id,
        key=WindowKey(CUSTOMER, LIMIT, window),
        agent_ref=disk_number(disk_id),
        create_time=CREATED,
    )


def escrow(world: World, rules: Rules, window: str) -> Escrow:
    server = world.server
    leases = [each for each in server.leases if each.key.window_id == window]
    return rules.escrow_of(dict(server.settled).get(window, 0), leases=leases)


def left(world: World, rules: Rules) -> int:
    """Returns what the server may grant now of its window."""
    server = world.server
    if server.unheard and rules.waits_for_agents:
        return 0
    return escrow(world, rules, server.window).left(
        maximum=server.limit, unknown_max=world.unknown_max
    )


def grant(world: World, lease: ServerLease, amount: int) -> World:
    server = world.server
    highest = dict(world.highest)
    highest[server.window] = max(highest.get(server.window, 0), server.limit)
    lease = server_lease.granted(lease, amount=amount)
    return world._replace(server=with_lease(server, lease), highest=tuple(sorted(highest.items())))


def hear_reports(
    world: World,
    disk_id: bytes,
    reports: tuple[tuple[bytes, str, LeaseReport], ...],
    rules: Rules,
) -> World:
    server = world.server
    for lease_id, window, report in reports:
        lease = server.lease(lease_id)
        if lease is not None and lease.agent_ref != disk_number(disk_id):
            continue  # Of a disk that this one took over from: it is not for it to tell.
        if lease is None or not lease.key.window_id:
            settled = 0 if lease is None else lease.settled
            lease = replace(new_lease(lease_id, disk_id, window), settled=settled)
        server = with_lease(server, rules.reported(lease, report=report, now=CREATED))
    return world._replace(server=server)


def with_agent(world: World, index: int, agent: Agent) -> World:
    agents = (*world.agents[:index], agent, *world.agents[index + 1 :])
    return world._replace(agents=agents)


def with_disk(world: World, index: int, disk: Disk) -> World:
    return with_agent(world, index, world.agents[index]._replace(disk=disk))


def own_allowance(window: str, amount: int) -> tuple[Lease, ...]:
    """Returns what an agent may grant in a window without the server."""
    if not amount:
        return ()
    return (
        Lease(
            lease_id=OFFLINE_LEASE_ID,
            customer_id=CUSTOMER,
            limit_key=LIMIT,
            window_id=window,
            granted=amount,
        ),
    )


def first_world(
    faults: Faults,
    *,
    limit: int,
    calls: int,
    agents: int = 1,
    unknown_max: int = 0,
    allowance: int = 0,
    amounts: tuple[int, ...] = (1,),
) -> World:
    own = own_allowance(WINDOWS[0], allowance)
    names = [b"d%d" % (1_000 + number) for number in range(agents)]
    return World(
        agents=tuple(Agent(name, Disk(Positions(disk_id=name), own)) for name in names),
        server=Server(limit),
        faults=faults,
        calls_left=calls,
        unknown_max=unknown_max,
        allowance=allowance,
        amounts=amounts,
        is_network_slow=bool(faults.give_up or faults.double),
    )
