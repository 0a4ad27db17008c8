"""Decisions: all limits or none, in the order of their keys; partial grants; the server away."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from meter_agent.core.quota.decide import (
    OFFLINE_LEASE_ID,
    Denial,
    DenialReason,
    QuotaDecision,
    QuotaRequest,
    Reach,
    Shortage,
    Take,
    Verdict,
    decide,
)
from meter_agent.core.quota.estimate import PriceBound, PriceStep
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from metering.limits import Enforcement, LimitKind, OfflinePolicy

TOKENS = LimitTerms(limit_key="tokens", kind=LimitKind.UNITS, quantity="output")
CALLS = LimitTerms(limit_key="calls", kind=LimitKind.CONCURRENCY)
PRICE = PriceBound(
    meter_key="o", quantity="output", steps=(PriceStep(Decimal(0), Decimal("0.01")),)
)
CAP = LimitTerms(limit_key="cap", kind=LimitKind.MONEY, decimals=6, prices=(PRICE,))


def lease(limit_key: str, granted: int, *, number: int = 1, until: int | None = None) -> Lease:
    return Lease(
        lease_id=bytes([number]) * 16,
        customer_id="acme",
        limit_key=limit_key,
        granted=granted,
        usable_until_us=until,
    )


def request(output: str, *, least: str | None = None, **more: str) -> QuotaRequest:
    quantities = {"output": Decimal(output)} | {n: Decimal(v) for n, v in more.items()}
    return QuotaRequest(
        customer_id="acme",
        quantities=quantities,
        minimum_quantities={} if least is None else {"output": Decimal(least)},
    )


def decided(
    asked: QuotaRequest, *limits: LimitTerms, leases: list[Lease], reach: Reach = Reach.ANSWERED
) -> QuotaDecision:
    terms = CustomerTerms(customer_id="acme", limits=limits)
    return decide(asked, terms=terms, leases=leases, reach=reach, now_us=0)


def test_a_call_that_all_limits_can_bear_takes_from_each() -> None:
    found = decided(request("10"), TOKENS, CALLS, leases=[lease("tokens", 50), lease("calls", 2)])
    assert found.verdict is Verdict.GRANTED
    assert found.granted == {"output": Decimal(10)}
    assert found.takes == (
        Take("calls", b"\x01" * 16, 1),
        Take("tokens", b"\x01" * 16, 10),
    )


def test_a_customer_or_a_meter_without_a_limit_is_granted_and_nothing_is_taken() -> None:
    assert decided(request("10"), leases=[]).verdict is Verdict.GRANTED
    images = LimitTerms(limit_key="images", kind=LimitKind.UNITS, quantity="images")
    assert decided(request("10"), images, leases=[]).takes == ()


def test_nothing_is_taken_where_one_limit_refuses_and_the_answer_names_the_first() -> None:
    found = decided(request("10"), TOKENS, CALLS, leases=[lease("tokens", 9)])
    assert (found.verdict, found.takes) == (Verdict.DENIED, ())
    assert found.denial == Denial("calls", DenialReason.LIMIT_REACHED, 0)
    found = decided(request("10"), TOKENS, CALLS, leases=[lease("tokens", 9), lease("calls", 1)])
    assert found.denial == Denial("tokens", DenialReason.LIMIT_REACHED, 9)


def test_leases_that_end_first_are_spent_first() -> None:
    leases = [lease("tokens", 50, number=1), lease("tokens", 6, number=2, until=100)]
    found = decided(request("10"), TOKENS, leases=leases)
    assert found.takes == (Take("tokens", b"\x02" * 16, 6), Take("tokens", b"\x01" * 16, 4))


def test_only_a_meter_with_a_minimum_is_granted_in_part() -> None:
    leases = [lease("tokens", 70)]
    found = decided(request("100", least="40"), TOKENS, leases=leases)
    assert found.verdict is Verdict.GRANTED_PARTIALLY
    assert found.granted == {"output": Decimal(70)}
    assert decided(request("100"), TOKENS, leases=leases).verdict is Verdict.DENIED
    assert decided(request("100", least="71"), TOKENS, leases=leases).verdict is Verdict.DENIED


def test_quantities_shrink_in_the_order_of_their_names_and_no_further_than_needed() -> None:
    both = CAP.__class__(
        limit_key="cap",
        kind=LimitKind.MONEY,
        decimals=0,
        prices=(
            PriceBound(meter_key="a", quantity="a", steps=(PriceStep(Decimal(0), Decimal(1)),)),
            PriceBound(meter_key="b", quantity="b", steps=(PriceStep(Decimal(0), Decimal(1)),)),
        ),
    )
    asked = QuotaRequest(
        customer_id="acme",
        quantities={"a": Decimal(10), "b": Decimal(10)},
        minimum_quantities={"b": Decimal(1), "a": Decimal(4)},
    )
    found = decided(asked, both, leases=[lease("cap", 16)])
    assert found.granted == {"a": Decimal(6), "b": Decimal(10)}
    found = decided(asked, both, leases=[lease("cap", 12)])
    assert found.granted == {"a": Decimal(4), "b": Decimal(8)}
    assert decided(asked, both, leases=[lease("cap", 4)]).verdict is Verdict.DENIED


def test_a_fraction_shrinks_in_the_places_in_which_it_was_written() -> None:
    seconds = LimitTerms(limit_key="s", kind=LimitKind.UNITS, quantity="output", decimals=3)
    found = decided(request("2.50", least="0.1"), seconds, leases=[lease("s", 1239)])
    assert found.granted == {"output": Decimal("1.23")}


def test_money_shrinks_a_call_to_what_it_can_cost() -> None:
    found = decided(request("100", least="1"), CAP, leases=[lease("cap", 255_000)])
    assert found.granted == {"output": Decimal(25)}
    assert found.takes == (Take("cap", b"\x01" * 16, 250_000),)


def test_a_price_without_a_bound_is_refused_under_a_hard_limit_of_money() -> None:
    unknown = replace(CAP, prices=(replace(PRICE, is_not_estimable=True),))
    found = decided(request("1"), unknown, leases=[lease("cap", 10**9)], reach=Reach.ASKABLE)
    assert found.denial == Denial("cap", DenialReason.PRICE_NOT_ESTIMABLE, 10**9)
    soft = replace(unknown, enforcement=Enforcement.SOFT)
    assert decided(request("1"), soft, leases=[]).verdict is Verdict.GRANTED


def test_before_anything_is_refused_the_server_is_asked_for_what_is_short() -> None:
    leases = [lease("tokens", 30)]
    found = decided(request("100", least="40"), TOKENS, leases=leases, reach=Reach.ASKABLE)
    assert found.verdict is Verdict.ASK
    assert found.shortages == (Shortage("tokens", wanted=100, wanted_min=40, missing=70),)


def test_a_soft_limit_flags_and_takes_what_there_is() -> None:
    soft = replace(TOKENS, enforcement=Enforcement.SOFT)
    found = decided(request("10"), soft, leases=[lease("tokens", 4)])
    assert found.verdict is Verdict.GRANTED
    assert found.takes == (Take("tokens", b"\x01" * 16, 4),)
    assert found.exceeded == (Denial("tokens", DenialReason.LIMIT_REACHED, 4),)
    asked = decided(request("10"), soft, leases=[], reach=Reach.ASKABLE)
    assert asked.shortages == (Shortage("tokens", wanted=10, wanted_min=0, missing=10),)


def test_a_shadow_limit_decides_and_never_makes_a_call_wait() -> None:
    shadow = replace(TOKENS, enforcement=Enforcement.SHADOW)
    found = decided(request("10"), shadow, leases=[], reach=Reach.ASKABLE)
    assert found.verdict is Verdict.GRANTED
    assert found.exceeded == (Denial("tokens", DenialReason.LIMIT_REACHED, 0),)


def test_without_the_server_a_closed_limit_goes_on_from_its_lease_and_then_refuses() -> None:
    leases = [lease("tokens", 10)]
    assert decided(request("10"), TOKENS, leases=leases, reach=Reach.AWAY).verdict is (
        Verdict.GRANTED
    )
    found = decided(request("11"), TOKENS, leases=leases, reach=Reach.AWAY)
    assert found.denial == Denial("tokens", DenialReason.SERVER_AWAY, 10)


def test_without_the_server_an_open_limit_grants_and_flags() -> None:
    open_ = replace(TOKENS, when_offline=OfflinePolicy.OPEN)
    found = decided(request("11"), open_, leases=[lease("tokens", 10)], reach=Reach.AWAY)
    assert found.verdict is Verdict.GRANTED
    assert found.exceeded == (Denial("tokens", DenialReason.SERVER_AWAY, 10),)


def test_an_allowance_is_spent_only_without_the_server_and_after_the_leases() -> None:
    limit = replace(TOKENS, when_offline=OfflinePolicy.ALLOWANCE, allowance=20)
    own = replace(lease("tokens", 20), lease_id=OFFLINE_LEASE_ID)
    leases = [own, lease("tokens", 10)]
    found = decided(request("25"), limit, leases=leases, reach=Reach.AWAY)
    assert found.takes == (Take("tokens", b"\x01" * 16, 10), Take("tokens", b"", 15))
    assert decided(request("31"), limit, leases=leases, reach=Reach.AWAY).verdict is Verdict.DENIED
    assert decided(request("11"), limit, leases=leases).verdict is Verdict.DENIED


def test_a_rate_is_drawn_from_one_bucket() -> None:
    rate = LimitTerms(limit_key="r", kind=LimitKind.RATE, quantity="output")
    full = 60_000_000
    shares = [
        replace(
            lease("r", 0, number=number), burst=burst, tokens_us=burst * full, rate_per_minute=1
        )
        for number, burst in ((1, 5), (2, 8))
    ]
    assert decided(request("8"), rate, leases=shares).takes == (Take("r", b"\x02" * 16, 8),)
    assert decided(request("9"), rate, leases=shares).verdict is Verdict.DENIED


def test_a_refusal_of_a_rate_tells_when_its_share_has_enough() -> None:
    # Two units a second, 3 in the bucket: 8 are there 2.5 s later, and 12 never.
    rate = LimitTerms(limit_key="r", kind=LimitKind.RATE, quantity="output")
    share = replace(lease("r", 0), rate_per_minute=120, burst=10, tokens_us=3 * 60_000_000)
    given_back = replace(lease("r", 0, number=2), burst=10)
    cases = [("8", None, 2_500_000), ("9", "5", 1_000_000), ("12", None, None)]
    for output, least, after_us in cases:
        found = decided(request(output, least=least), rate, leases=[given_back, share])
        assert found.denial == Denial("r", DenialReason.LIMIT_REACHED, 3, after_us)
    none = decided(request("1"), rate, leases=[given_back]).denial
    assert none == Denial("r", DenialReason.LIMIT_REACHED, 0)


def test_an_unknown_customer_is_asked_for_and_then_refused() -> None:
    terms = CustomerTerms(customer_id="acme", is_unknown=True)
    asked = decide(request("1"), terms=terms, leases=[], reach=Reach.ASKABLE, now_us=0)
    assert asked.verdict is Verdict.ASK
    for reach in (Reach.ANSWERED, Reach.AWAY):
        found = decide(request("1"), terms=terms, leases=[], reach=reach, now_us=0)
        assert found.denial == Denial("", DenialReason.CUSTOMER_UNKNOWN, 0)


@given(
    wanted=st.integers(0, 50),
    least=st.integers(0, 50),
    amounts=st.lists(st.integers(0, 30), min_size=3, max_size=3),
)
def test_what_is_taken_is_what_is_granted_and_never_more_than_there_is(
    wanted: int, least: int, amounts: list[int]
) -> None:
    least = min(least, wanted)
    leases = [lease("tokens", amount, number=n) for n, amount in enumerate(amounts, start=1)]
    found = decided(request(str(wanted), least=str(least)), TOKENS, leases=leases)
    taken = sum(take.amount for take in found.takes)
    if found.verdict is Verdict.DENIED:
        assert least > sum(amounts)
    else:
        assert taken == found.granted["output"] == min(wanted, sum(amounts))
