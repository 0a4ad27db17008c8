"""Every order of calls, recalls and expiries of small rates and slots, second by second.

Rate: two agents share a token bucket by shares with a time to live. In any span of seconds the
calls that were granted use at most the rate and one burst. Slots: two agents share one slot; that
of a silent agent is granted to the other only once its time and the longest call are over, so no
two calls ever run at once. Both use the real functions of agent and server.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from billing_server.domain.limit import shares
from billing_server.domain.limit.lease import Lease as ServerLease
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.limit.shares import FreeBucket, RateShare
from billing_server.domain.limit.silence import slots_are_free_at
from meter_agent.core.quota import lease as agent_lease
from meter_agent.core.quota.lease import Lease, available, consume_held, hold, unhold
from meter_agent.core.quota.sync import LeaseNews, with_news
from metering.limits import LimitKind
from tests.simulation.search import Violation, search_all

SECOND = 1_000_000
START = datetime(2026, 3, 1, tzinfo=UTC)
LIMIT = RateShare(60, 2)  # One unit a second, two at once.
MAX_HOLD = timedelta(seconds=3)


@dataclass(frozen=True)
class Rules:
    """The functions under test, each replaceable by a mutant."""

    poured: Callable[..., tuple[FreeBucket, int]] = shares.poured
    unhold: Callable[..., Lease] = unhold
    reload: Callable[[Lease], Lease] = agent_lease.reloaded
    slots_are_free_at: Callable[..., datetime | None] = slots_are_free_at
    counts_recalled_shares: bool = True
    heeds_time: bool = True


class Call(NamedTuple):
    """A call that runs."""

    agent: int
    begun: int
    amount: int


class World(NamedTuple):
    """Two agents with a lease each, and the server's view of them."""

    ttl: int = 2
    """Seconds; the server takes a lease for over a second later."""
    end: int = 4
    """Second at which time stops."""
    now: int = 0
    own: tuple[Lease | None, ...] = (None, None)
    known: tuple[ServerLease | None, ...] = (None, None)
    free: FreeBucket = FreeBucket(LIMIT.burst, LIMIT, START)
    """The server's bucket of what nobody holds."""
    running: tuple[Call, ...] = ()
    used: tuple[tuple[int, int], ...] = ()
    """Second of the reservation, and what was used in the end."""
    serial: int = 0
    restarts: int = 0
    """How often an agent may still be restarted."""


def put(
    pair: tuple[Lease | None, ...], index: int, lease: Lease | None
) -> tuple[Lease | None, ...]:
    return (*pair[:index], lease, *pair[index + 1 :])


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def is_over(world: World, lease: ServerLease) -> bool:
    return lease.expire_time is not None and at(world.now) >= lease.expire_time


def granted(world: World, index: int, *, rate: int, burst: int, tokens: int, rules: Rules) -> World:
    """Grants a new lease and lets the agent hear of it at once."""
    lease = ServerLease(
        lease_id=b"%d" % world.serial,
        key=WindowKey("acme", "limit", "w"),
        agent_ref=index,
        granted=tokens,
        rate_per_minute=rate,
        burst=burst,
        expire_time=at(world.now + world.ttl + 1),
        create_time=START,
    )
    news = LeaseNews(
        lease_id=lease.lease_id,
        customer_id="acme",
        limit_key="limit",
        window_id="w",
        granted=tokens,
        rate_per_minute=rate,
        burst=burst,
        remaining_us=world.ttl * SECOND if rules.heeds_time else None,
    )
    now_us = world.now * SECOND
    own = with_news(None, news=news, sent_at_us=now_us, now_us=now_us)
    known = (*world.known[:index], lease, *world.known[index + 1 :])
    return world._replace(own=put(world.own, index, own), known=known, serial=world.serial + 1)


def rate_steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    now_us = world.now * SECOND
    if world.now < world.end:
        yield "a second passes", world._replace(now=world.now + 1)
    for index, lease in enumerate(world.own):
        known = world.known[index]
        if known is not None and is_over(world, known):
            yield f"over at {index}", given_back(world, index)
        if known is None:
            yield from _grant_share(world, index, rules)
        elif lease is not None and rules.counts_recalled_shares:
            recalled = agent_lease.recalled(lease, recall_no=1)
            if recalled != lease:
                after = world._replace(own=put(world.own, index, recalled))
                yield f"recall {index}", given_back(after, index)
        elif lease is not None:
            # Mutant: the server takes a share for free when it asks for it back.
            yield f"recall {index}", given_back(world, index)
        if lease is not None and len(world.running) + len(world.used) < 2:
            for amount in (1, 2):
                if amount <= available(lease, now_us=now_us):
                    held = hold(lease, amount=amount, now_us=now_us)
                    call = Call(index, world.now, amount)
                    after = world._replace(running=(*world.running, call))
                    yield (
                        f"reserve {amount} at {index}",
                        after._replace(own=put(world.own, index, held)),
                    )
    for call in world.running:
        for used in {call.amount, 0}:
            yield f"end with {used}", _ended(world, call, used, rules)
    yield from _restarts(world, rules)


def given_back(world: World, index: int) -> World:
    """Lets the server take a share for free from now on."""
    after = world._replace(known=(*world.known[:index], None, *world.known[index + 1 :]))
    bucket = shares.refilled(world.free, free=free_of(after), now=at(world.now))
    return after._replace(free=bucket)


def free_of(world: World) -> RateShare:
    return shares.free_share(LIMIT, leases=[each for each in world.known if each is not None])


def _restarts(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Lets an agent find its share on disk, and the server confirm and renew it."""
    now_us = world.now * SECOND
    for index, (lease, known) in enumerate(zip(world.own, world.known, strict=True)):
        if not world.restarts or lease is None or known is None or is_over(world, known):
            continue
        news = LeaseNews(
            lease_id=known.lease_id,
            customer_id="acme",
            limit_key="limit",
            window_id="w",
            granted=known.granted,
            rate_per_minute=known.rate_per_minute,
            burst=known.burst,
            remaining_us=world.ttl * SECOND,
        )
        own = with_news(rules.reload(lease), news=news, sent_at_us=now_us, now_us=now_us)
        renewed = replace(known, expire_time=at(world.now + world.ttl + 1))
        after = world._replace(
            own=put(world.own, index, own),
            known=(*world.known[:index], renewed, *world.known[index + 1 :]),
            restarts=world.restarts - 1,
        )
        yield f"restart {index}", after


def _grant_share(world: World, index: int, rules: Rules) -> Iterator[tuple[str, World]]:
    free = free_of(world)
    for wanted in (RateShare(60, 2), RateShare(30, 1)):
        share = shares.granted_share(wanted, free=free)
        if share.burst and world.serial < 2:
            bucket = shares.refilled(world.free, free=free, now=at(world.now))
            bucket, tokens = rules.poured(bucket, share=share)
            yield (
                f"grant {share.burst} to {index}",
                granted(
                    world._replace(free=bucket),
                    index,
                    rate=share.rate_per_minute,
                    burst=share.burst,
                    tokens=tokens,
                    rules=rules,
                ),
            )


def _ended(world: World, call: Call, used: int, rules: Rules) -> World:
    running = list(world.running)
    running.remove(call)
    lease, now_us = world.own[call.agent], world.now * SECOND
    assert lease is not None
    lease = consume_held(lease, held=used, used=used)
    lease = rules.unhold(
        lease,
        amount=call.amount - used,
        held_for_us=(world.now - call.begun) * SECOND,
        now_us=now_us,
    )
    done = tuple(sorted((*world.used, (call.begun, used)))) if used else world.used
    return world._replace(running=tuple(running), own=put(world.own, call.agent, lease), used=done)


def rate_problem(world: World) -> str:
    calls = [*world.used, *((call.begun, call.amount) for call in world.running)]
    for first, _ in calls:
        for last, _ in calls:
            if last >= first:
                total = sum(amount for second, amount in calls if first <= second <= last)
                if total > last - first + LIMIT.burst:
                    return f"{total} were used in the {last - first} s from second {first} on"
    return ""


def slot_steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    now_us = world.now * SECOND
    if world.now < world.end and not any(
        at(world.now + 1) > at(call.begun) + MAX_HOLD for call in world.running
    ):
        yield "a second passes", world._replace(now=world.now + 1)
    for index, lease in enumerate(world.own):
        known = world.known[index]
        others = [each for each in world.known if each is not None]
        if known is not None:
            freed_at = rules.slots_are_free_at(known, kind=LimitKind.CONCURRENCY, max_hold=MAX_HOLD)
            if freed_at is not None and at(world.now) >= freed_at:
                gone = (*world.known[:index], None, *world.known[index + 1 :])
                yield f"freed from {index}", world._replace(known=gone)
            if lease is not None and lease.free and not lease.held:
                back = agent_lease.returned_rest(lease)
                gone = (*world.known[:index], None, *world.known[index + 1 :])
                yield (
                    f"return at {index}",
                    world._replace(own=put(world.own, index, back), known=gone),
                )
        elif not others and world.serial < 3:
            yield f"grant to {index}", granted(world, index, rate=0, burst=0, tokens=1, rules=rules)
        if lease is not None and available(lease, now_us=now_us):
            held = hold(lease, amount=1, now_us=now_us)
            after = world._replace(running=(*world.running, Call(index, world.now, 1)))
            yield f"call at {index}", after._replace(own=put(world.own, index, held))
    for call in world.running:
        own = world.own[call.agent]
        if own is not None and own.held:
            yield "end", _ended(world, call, 0, rules)
        else:  # The lease was replaced meanwhile: the call of the old one ends.
            running = list(world.running)
            running.remove(call)
            yield "end", world._replace(running=tuple(running))


def slot_problem(world: World) -> str:
    return "two calls run at once" if len(world.running) > 1 else ""


WORLD = World()
SLOTS = World(end=6)


def search(
    steps: Callable[[World, Rules], Iterator[tuple[str, World]]],
    problem_of: Callable[[World], str],
    rules: Rules,
    *,
    start: World = WORLD,
) -> int:
    return search_all(
        start,
        steps=lambda world: steps(world, rules),
        faults=lambda _world: (),
        problem_of=problem_of,
        is_at_rest=lambda world: not world.running,
    )


def test_any_span_sees_at_most_its_rate_and_one_burst() -> None:
    assert search(rate_steps, rate_problem, Rules(), start=World(ttl=1, end=3)) > 1_000


def test_any_span_sees_no_more_where_an_agent_is_restarted() -> None:
    start = World(ttl=1, end=1, restarts=1)
    assert search(rate_steps, rate_problem, Rules(), start=start) > 1_000


@pytest.mark.long
def test_any_longer_span_sees_at_most_its_rate_and_one_burst() -> None:
    assert search(rate_steps, rate_problem, Rules()) > 10_000


def test_no_more_calls_run_than_there_are_slots() -> None:
    assert search(slot_steps, slot_problem, Rules(), start=SLOTS) > 100


def buckets_always_start_full(bucket: FreeBucket, *, share: RateShare) -> tuple[FreeBucket, int]:
    return shares.poured(bucket, share=share)[0], share.burst


def all_that_was_not_used_comes_back(lease: Lease, *, held_for_us: int, **fields: int) -> Lease:
    return unhold(lease, held_for_us=held_for_us * 0, **fields)


def slots_are_free_when_their_time_is_over(
    lease: ServerLease, **_fields: object
) -> datetime | None:
    return lease.expire_time


MUTANTS = {
    "every bucket starts full": Rules(poured=buckets_always_start_full),
    "all that a call did not use comes back": Rules(unhold=all_that_was_not_used_comes_back),
    "a share counts as free when it is recalled": Rules(counts_recalled_shares=False),
    "an agent does not stop when its time is over": Rules(heeds_time=False),
}


def a_restart_fills_the_bucket(lease: Lease) -> Lease:
    return replace(agent_lease.reloaded(lease), tokens_us=lease.burst * agent_lease.US_PER_MINUTE)


def test_a_bucket_that_a_restart_fills_is_caught() -> None:
    rules = Rules(reload=a_restart_fills_the_bucket)
    with pytest.raises(Violation):
        search(rate_steps, rate_problem, rules, start=World(ttl=1, end=1, restarts=1))


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_of_the_rate_is_caught(name: str) -> None:
    with pytest.raises(Violation):
        search(rate_steps, rate_problem, MUTANTS[name])


@pytest.mark.parametrize(
    "rules",
    [Rules(slots_are_free_at=slots_are_free_when_their_time_is_over), Rules(heeds_time=False)],
    ids=["a running call is forgotten", "an agent does not stop when its time is over"],
)
def test_each_mutant_of_the_slots_is_caught(rules: Rules) -> None:
    with pytest.raises(Violation):
        search(slot_steps, slot_problem, rules, start=SLOTS)
