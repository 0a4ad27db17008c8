"""Rating goes on from where it stopped, to the same amount."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.rating.adjustments import Maximum
from billing_server.domain.rating.conversion import Conversion, ConversionRounding
from billing_server.domain.rating.dynamic import Dynamic
from billing_server.domain.rating.event_rating import EventRating
from billing_server.domain.rating.exact import exact_from_text, exact_text
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.percentage import PercentageByEvent
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.usage import UsageTerms
from metering.errors import InvariantError

PERCENTAGE = PercentageByEvent(
    share=Decimal("0.013"),
    fixed_per_event=Decimal(2),
    free_events=2,
    free_amount=Decimal(250),
    minimum_per_event=Decimal("2.5"),
    maximum_per_event=Decimal(5),
)
TERMS = [
    UsageTerms(PERCENTAGE),
    UsageTerms(PERCENTAGE, Decimal(100), adjustments=(Maximum(Decimal(9)),)),
    UsageTerms(PERCENTAGE, Decimal(3), conversion=Conversion(Decimal(7), ConversionRounding.NONE)),
    UsageTerms(Dynamic("cost", Decimal("1.2")), Decimal("0.5")),
]
EVENTS = st.lists(
    st.builds(
        EventUsage,
        st.decimals(0, 400, places=2),
        st.decimals(0, 9, places=3),
    ),
    max_size=12,
)


def rated(terms: UsageTerms, events: Sequence[EventUsage]) -> EventRating:
    rating = EventRating(terms)
    for position, event in enumerate(events):
        rating.take(event, place=(position, f"e{position}"))
    return rating


@pytest.mark.parametrize("terms", TERMS)
@given(events=EVENTS, stop=st.integers(1, 12))
def test_r31_a_rating_that_was_saved_goes_on_to_the_amount_of_all_events(
    terms: UsageTerms, events: list[EventUsage], stop: int
) -> None:
    whole = rated(terms, events)
    first = rated(terms, events[:stop])
    resumed = EventRating(terms)
    if not resumed.resume(first.saved()):
        assert not events  # Nothing was rated: there is no place to go on from.
        return
    assert resumed.place == first.place
    for position, event in enumerate(events[stop:], start=stop):
        resumed.take(event, place=(position, f"e{position}"))
    assert resumed.amount() == whole.amount() == terms.rate_events(events)
    assert resumed.saved() == whole.saved()
    assert whole.is_right(resumed.saved())


def test_a_state_means_nothing_under_other_terms() -> None:
    saved = rated(TERMS[0], [EventUsage(Decimal(300))]).saved()
    assert not EventRating(TERMS[1]).resume(saved)
    assert EventRating(TERMS[1]).is_right(saved)  # It will not be used.


def test_a_state_of_other_events_is_not_right() -> None:
    saved = rated(TERMS[0], [EventUsage(Decimal(300))]).saved()
    assert not rated(TERMS[0], [EventUsage(Decimal(299))]).is_right(saved)


@pytest.mark.parametrize("damage", ["", "[]", "{}", "included_left", '"0"'])
def test_a_damaged_state_is_not_gone_on_from(damage: str) -> None:
    terms = UsageTerms(Dynamic("cost", Decimal("1.2")))
    saved = rated(terms, [EventUsage(Decimal(1), Decimal(2))]).saved()
    damaged = saved.replace(damage, "left") if damage in saved and damage else damage
    assert damaged != saved
    assert not EventRating(terms).resume(damaged)
    assert not rated(terms, [EventUsage(Decimal(1), Decimal(2))]).is_right(damaged)


def test_a_price_that_is_rated_by_the_total_has_no_events() -> None:
    with pytest.raises(InvariantError) as caught:
        EventRating(UsageTerms(PerUnit(Decimal(1))))
    assert caught.value.reason == "QUANTITY_NEEDED"


@pytest.mark.parametrize("value", [Decimal("1.50"), Decimal(0), Fraction(1, 3), Fraction(-4, 1)])
def test_an_exact_number_comes_back_from_its_text(value: Decimal | Fraction) -> None:
    found = exact_from_text(exact_text(value))
    assert (found, type(found)) == (value, type(value))
