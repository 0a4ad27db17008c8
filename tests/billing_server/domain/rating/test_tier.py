"""Reading tiers: every quantity lies in exactly one, or the list is refused."""

from decimal import Decimal

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.tier import (
    Tier,
    TierForm,
    read_tiers,
    tier_bounds,
    tiers_to_fields,
)


def read(tiers: object) -> tuple[tuple[Tier, ...] | None, list[tuple[str, str]]]:
    mistakes = Mistakes("test")
    fields = {} if tiers is None else {"tiers": tiers}
    reader = FieldReader(node_from_plain(fields), path="", mistakes=mistakes)
    found = read_tiers(reader)
    return found, [(violation.field, violation.reason) for violation in mistakes.violations]


def test_tiers_are_read_with_defaults_of_zero() -> None:
    found, mistakes = read([{"up_to": "10", "unit_price": "0.5"}, {"flat_price": "3"}])
    assert mistakes == []
    assert found == (
        Tier(Decimal(10), Decimal("0.5"), Decimal(0)),
        Tier(None, Decimal(0), Decimal(3)),
    )


@pytest.mark.parametrize(
    ("tiers", "field", "reason"),
    [
        (None, "tiers", "FIELD_MISSING"),
        ([], "tiers", "TIERS_EMPTY"),
        ("10", "tiers", "FIELD_MALFORMED"),
        ([{"up_to": "10", "unit_price": "1"}], "tiers[0].up_to", "LAST_TIER_BOUNDED"),
        ([{"unit_price": "1"}, {"unit_price": "2"}], "tiers[0].up_to", "TIER_BOUND_MISSING"),
        (
            [
                {"up_to": "10", "unit_price": "1"},
                {"up_to": "10", "unit_price": "2"},
                {"unit_price": "3"},
            ],
            "tiers[1].up_to",
            "TIERS_NOT_ASCENDING",
        ),
        (
            [{"up_to": "0", "unit_price": "1"}, {"unit_price": "1"}],
            "tiers[0].up_to",
            "TIERS_NOT_ASCENDING",
        ),
        ([{}], "tiers[0].unit_price", "FIELD_MISSING"),
        ([{"unit_price": "-1"}], "tiers[0].unit_price", "PRICE_NEGATIVE"),
        ([{"unit_price": "1", "up_too": "3"}], "tiers[0].up_too", "FIELD_UNKNOWN"),
        (
            [{"up_to": "x", "unit_price": "1"}, {"unit_price": "1"}],
            "tiers[0].up_to",
            "QUANTITY_MALFORMED",
        ),
        ([7], "tiers[0]", "FIELD_MALFORMED"),
    ],
)
def test_a_gap_an_overlap_or_a_missing_end_is_refused_by_its_field(
    tiers: object, field: str, reason: str
) -> None:
    found, mistakes = read(tiers)
    assert found is None
    assert (field, reason) in mistakes


def test_r23_the_word_unlimited_is_not_needed_and_not_read() -> None:
    _, mistakes = read([{"up_to": "inf", "unit_price": "1"}])
    assert mistakes == [("tiers[0].up_to", "QUANTITY_MALFORMED")]


def test_bounds_are_those_of_all_tiers_but_the_last() -> None:
    assert tier_bounds((Tier(Decimal(5)), Tier(Decimal(9)), Tier(None))) == (5, 9)


def test_a_tier_is_written_without_idle_zeros_and_in_the_form_of_its_model() -> None:
    tiers = (Tier(None, Decimal("0.50"), Decimal(0)),)
    assert tiers_to_fields(tiers) == {"tiers": [{"unit_price": "0.5", "flat_price": "0"}]}
    assert tiers_to_fields(tiers, form=TierForm.RATE) == {
        "tiers": [{"rate": "0.5", "flat_price": "0"}]
    }
    assert tiers_to_fields(tiers, form=TierForm.FLAT_ONLY) == {"tiers": [{"flat_price": "0"}]}
