"""The package price model, with the numbers of R28."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.rating.package import Package, PackageRounding
from tests.billing_server.domain.rating.reading import quantity_model, refusals_of

UP = Package(Decimal(1000), Decimal(2))
DOWN = Package(Decimal(1000), Decimal(2), PackageRounding.DOWN)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", 0), ("0.5", 2), ("1", 2), ("1000", 2), ("1000.000001", 4), ("1001", 4)],
)
def test_r28_a_begun_package_is_charged_whole(quantity: str, amount: int) -> None:
    assert UP.rate(Decimal(quantity)) == amount


@pytest.mark.parametrize(
    ("quantity", "amount"), [("999", 0), ("1000", 2), ("1999", 2), ("2000", 4)]
)
def test_rounded_down_only_full_packages_are_charged(quantity: str, amount: int) -> None:
    assert DOWN.rate(Decimal(quantity)) == amount


def test_a_quantity_without_an_end_fills_packages_too() -> None:
    # 3001/3 = 1000.33… needs a second package; 3000/3 does not.
    assert UP.rate(Fraction(3001, 3)) == 4
    assert UP.rate(Fraction(3000, 3)) == 2


def test_the_step_counts_packages_and_says_what_they_hold() -> None:
    (step,) = UP.explain(Decimal(1001))
    assert (step.quantity, step.unit_price, step.to_quantity, step.amount) == (2, 2, 2000, 4)
    assert step.kind == "package"
    assert DOWN.explain(Decimal(999)) == ()


def test_a_package_rounds_up_unless_it_says_otherwise() -> None:
    model = quantity_model(model="package", package_size="10.0", package_price="0.50")
    assert model.to_fields() == {"package_size": "10", "package_price": "0.5", "round": "up"}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"package_size": "0"}, "package_size", "PACKAGE_SIZE_ZERO"),
        ({"package_size": "-1"}, "package_size", "QUANTITY_NEGATIVE"),
        ({"package_size": None}, "package_size", "FIELD_MISSING"),
        ({"package_price": None}, "package_price", "FIELD_MISSING"),
        ({"package_price": 0.5}, "package_price", "FLOAT_NOT_ALLOWED"),
        ({"round": "nearest"}, "round", "CHOICE_UNKNOWN"),
        ({"unit_price": "1"}, "unit_price", "FIELD_UNKNOWN"),
    ],
)
def test_a_wrong_package_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    good: dict[str, object] = {"model": "package", "package_size": "1000", "package_price": "2"}
    assert refusals_of(**(good | fields)) == [(field, reason)]
