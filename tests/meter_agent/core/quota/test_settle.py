"""Settlements: what was held comes first, then what is free; the rest is recorded uncovered."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, Take
from meter_agent.core.quota.estimate import PriceBound, PriceStep
from meter_agent.core.quota.lease import Lease, available
from meter_agent.core.quota.lease import expired as lease_expired
from meter_agent.core.quota.reservation import Content, Reservation, expired, returned
from meter_agent.core.quota.settle import (
    Effect,
    debit_usage,
    give_back,
    give_back_at_expiry,
    hold_all,
    settle,
)
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from metering.limits import Enforcement, LimitKind

TOKENS = LimitTerms(limit_key="tokens", kind=LimitKind.UNITS, quantity="output")
SLOTS = LimitTerms(limit_key="slots", kind=LimitKind.CONCURRENCY)
RATE = LimitTerms(limit_key="rate", kind=LimitKind.RATE, quantity="output")
PRICE = PriceBound(
    meter_key="output",
    quantity="output",
    steps=(PriceStep(Decimal(0), Decimal("0.01")), PriceStep(Decimal(100), Decimal("0.02"))),
)
CAP = LimitTerms(limit_key="cap", kind=LimitKind.MONEY, decimals=6, prices=(PRICE,))
TERMS = CustomerTerms(customer_id="acme", limits=(SLOTS, TOKENS))
ID_A, ID_B = b"a" * 16, b"b" * 16
FULL = 60_000_000


def lease(limit_key: str, granted: int, lease_id: bytes = ID_A) -> Lease:
    return Lease(lease_id=lease_id, customer_id="acme", limit_key=limit_key, granted=granted)


def reservation(*takes: Take) -> Reservation:
    return Reservation(
        customer_id="acme", reservation_id="r", content=Content(), granted={}, takes=takes
    )


def held(*takes: Take, leases: list[Lease]) -> tuple[Reservation, list[Lease]]:
    changed = {
        (each.limit_key, each.lease_id): each for each in hold_all(takes, leases=leases, now_us=0)
    }
    after = [changed.get((each.limit_key, each.lease_id), each) for each in leases]
    return reservation(*takes), after


def settled(
    found: Reservation,
    *,
    leases: list[Lease],
    output: str | None,
    terms: CustomerTerms = TERMS,
    now_us: int = 0,
) -> Effect:
    return settle(
        found,
        terms=terms,
        leases=leases,
        dimensions={},
        quantities={} if output is None else {"output": Decimal(output)},
        now_us=now_us,
    )


def test_what_was_used_is_consumed_and_the_rest_comes_back_with_the_slot() -> None:
    found, leases = held(
        Take("tokens", ID_A, 100),
        Take("slots", ID_B, 1),
        leases=[lease("tokens", 150), lease("slots", 2, ID_B)],
    )
    effect = settled(found, leases=leases, output="60")
    assert effect.debits == ((ID_A, 60),)
    assert effect.uncovered == {}
    counters = {each.limit_key: (each.consumed, each.held) for each in effect.leases}
    assert counters == {"tokens": (60, 0), "slots": (0, 0)}


def test_a_hold_over_two_leases_is_debited_in_their_order() -> None:
    found, leases = held(
        Take("tokens", ID_A, 10),
        Take("tokens", ID_B, 10),
        leases=[lease("tokens", 10), lease("tokens", 10, ID_B)],
    )
    assert settled(found, leases=leases, output="12").debits == ((ID_A, 10), (ID_B, 2))


def test_use_beyond_the_hold_takes_what_is_free_and_the_rest_is_uncovered() -> None:
    found, leases = held(Take("tokens", ID_A, 100), leases=[lease("tokens", 120)])
    effect = settled(found, leases=leases, output="150")
    assert (effect.debits, effect.uncovered) == (((ID_A, 120),), {"tokens": 30})


def test_a_late_settlement_of_a_hold_that_went_back_takes_what_is_free_now() -> None:
    found = returned(expired(reservation(Take("tokens", ID_A, 100))))
    effect = settled(found, leases=[lease("tokens", 40)], output="60")
    assert (effect.debits, effect.uncovered) == (((ID_A, 40),), {"tokens": 20})


def test_a_hold_in_a_lease_whose_window_has_ended_is_debited_to_that_window() -> None:
    found, leases = held(Take("tokens", ID_A, 50), leases=[lease("tokens", 100)])
    over = [replace(lease_expired(leases[0]), usable_until_us=1), lease("tokens", 10, ID_B)]
    effect = settled(found, leases=over, output="50", now_us=5)
    assert effect.debits == ((ID_A, 50),)


def test_a_release_with_nothing_incurred_gives_all_back() -> None:
    found, leases = held(Take("tokens", ID_A, 50), leases=[lease("tokens", 100)])
    effect = settled(found, leases=leases, output=None)
    assert (effect.debits, effect.leases) == ((), (lease("tokens", 100),))


def test_use_of_an_offline_allowance_is_debited_to_no_lease() -> None:
    own = lease("tokens", 20, OFFLINE_LEASE_ID)
    found, leases = held(Take("tokens", OFFLINE_LEASE_ID, 15), leases=[own])
    effect = settled(found, leases=leases, output="10")
    assert (effect.debits, effect.uncovered) == ((), {})
    assert effect.allowances == {"tokens": 10}
    assert effect.leases == (replace(own, consumed=10),)


def test_a_limit_that_is_gone_gives_its_hold_back() -> None:
    found, leases = held(Take("tokens", ID_A, 50), leases=[lease("tokens", 100)])
    effect = settled(found, leases=leases, output="50", terms=CustomerTerms(customer_id="acme"))
    assert (effect.debits, effect.leases[0].held) == ((), 0)


def test_a_lease_whose_row_is_gone_leaves_its_use_uncovered() -> None:
    found = reservation(Take("tokens", ID_A, 50))
    assert settled(found, leases=[], output="30").uncovered == {"tokens": 30}


def test_a_bucket_has_paid_when_the_call_began() -> None:
    share = replace(lease("rate", 0), rate_per_minute=60, burst=10, tokens_us=10 * FULL)
    terms = CustomerTerms(customer_id="acme", limits=(RATE,))
    found, leases = held(Take("rate", ID_A, 8), leases=[share])
    assert available(leases[0], now_us=0) == 2
    effect = settled(found, leases=leases, output="5", terms=terms)
    assert (effect.debits, effect.uncovered) == ((), {})
    assert available(effect.leases[0], now_us=0) == 5
    late = settled(returned(expired(found)), leases=leases, output="5", terms=terms)
    assert late == Effect()


def paid(used: str, *, reserved: Reservation, leases: list[Lease], ahead: int) -> Effect:
    return settle(
        reserved,
        terms=CustomerTerms(customer_id="acme", limits=(CAP,)),
        leases=leases,
        dimensions={},
        quantities={"output": Decimal(used)},
        now_us=0,
        ahead={"output": Decimal(ahead)},
    )


def test_money_is_debited_by_where_the_customer_stands_and_no_more_than_was_held() -> None:
    # Ten units at 0.01 were held before anything else; the place is told ahead of the call.
    found, leases = held(Take("cap", ID_A, 100_000), leases=[lease("cap", 1_000_000)])
    found = replace(found, granted={"output": Decimal(10)})
    cases = {("4", 0): 40_000, ("4", 90): 40_000, ("4", 97): 80_000, ("10", 97): 100_000}
    for (used, ahead), debit in cases.items():
        effect = paid(used, reserved=found, leases=leases, ahead=ahead)
        assert (effect.debits, effect.uncovered) == (((ID_A, debit),), {})
    # More than was granted, or another call than was reserved, costs what it costs.
    beyond = paid("11", reserved=found, leases=leases, ahead=97)
    assert beyond.debits == ((ID_A, 220_000),)
    other = replace(found, content=Content(dimensions=(("model", "small"),)))
    assert paid("10", reserved=other, leases=leases, ahead=97).debits == ((ID_A, 200_000),)


def test_a_soft_limit_of_money_that_held_a_part_is_debited_whole() -> None:
    found, leases = held(Take("cap", ID_A, 50_000), leases=[lease("cap", 50_000)])
    found = replace(found, granted={"output": Decimal(10)})
    terms = CustomerTerms(customer_id="acme", limits=(replace(CAP, enforcement=Enforcement.SOFT),))
    effect = settled(found, leases=leases, output="10", terms=terms)
    assert (effect.debits, effect.uncovered) == (((ID_A, 50_000),), {"cap": 50_000})


def test_usage_without_a_reservation_debits_leases_and_never_refuses() -> None:
    leases = [lease("tokens", 4), lease("tokens", 3, ID_B), lease("slots", 5)]
    effect = debit_usage(
        terms=TERMS, leases=leases, dimensions={}, quantities={"output": Decimal(10)}, now_us=0
    )
    assert effect.debits == ((ID_A, 4), (ID_B, 3))
    assert effect.uncovered == {"tokens": 3}


def test_an_allowance_bears_no_usage_without_a_reservation() -> None:
    effect = debit_usage(
        terms=TERMS,
        leases=[lease("tokens", 20, OFFLINE_LEASE_ID)],
        dimensions={},
        quantities={"output": Decimal(10)},
        now_us=0,
    )
    assert (effect.leases, effect.uncovered) == ((), {"tokens": 10})


def test_at_expiry_a_slot_comes_back_at_once_and_an_amount_stays_held() -> None:
    found, leases = held(
        Take("slots", ID_B, 1),
        Take("tokens", ID_A, 50),
        leases=[lease("tokens", 100), lease("slots", 1, ID_B)],
    )
    effect, kept = give_back_at_expiry(found, terms=TERMS, leases=leases, now_us=0)
    assert kept == (Take("tokens", ID_A, 50),)
    assert effect.leases == (lease("slots", 1, ID_B),)


def test_a_hold_that_nobody_ended_goes_back_whole_and_once() -> None:
    found, leases = held(Take("tokens", ID_A, 50), leases=[lease("tokens", 100)])
    over = expired(found)
    assert give_back(over, leases=leases, now_us=0).leases == (lease("tokens", 100),)
    assert give_back(returned(over), leases=leases, now_us=0) == Effect()


@given(granted=st.integers(0, 100), wanted=st.integers(0, 100), used=st.integers(0, 150))
def test_what_is_used_is_debited_or_uncovered_and_nothing_stays_held(
    granted: int, wanted: int, used: int
) -> None:
    amount = min(granted, wanted)
    takes = (Take("tokens", ID_A, amount),) if amount else ()
    found, leases = held(*takes, leases=[lease("tokens", granted)])
    effect = settled(found, leases=leases, output=str(used))
    debited = sum(amount for _, amount in effect.debits)
    assert debited + effect.uncovered.get("tokens", 0) == used
    assert debited == min(used, granted)
    assert all(each.held == 0 and each.consumed == debited for each in effect.leases)
