"""Rates are fractions of 1."""

from decimal import Decimal

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldMistake
from billing_server.domain.rating.rates import rate_fraction


@pytest.mark.parametrize("rate", ["0", "0.019", "1"])
def test_a_rate_lies_between_nothing_and_all(rate: str) -> None:
    assert rate_fraction(node_from_plain(rate)) == Decimal(rate)


def test_a_percentage_that_was_meant_as_one_is_refused_with_what_to_write() -> None:
    with pytest.raises(FieldMistake) as caught:
        rate_fraction(node_from_plain("1.9"))
    assert caught.value.reason == "RATE_ABOVE_ONE"
    assert "1.9 would be 190 %" in caught.value.problem
    assert 'write "0.019" for 1.9 %' in caught.value.problem
