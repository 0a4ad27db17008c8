"""The `package` price model: a price for each package of units.

Example: packages of 1,000 at 2. Rounded up, the default, a begun package is charged: 1 unit costs
2, 1,000 cost 2 and 1,001 cost 4. Rounded down, only full ones are: 1,999 cost 2 (R28).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Final

from billing_server.domain.fields import FieldReader, choice, price, quantity
from billing_server.domain.rating.exact import multiply
from billing_server.domain.rating.price_model import ZERO, RatingStep, StepKind
from metering.money import EXACT_CONTEXT, Exact
from metering.quantity import plain_decimal

_ONE: Final = Decimal(1)


class PackageRounding(StrEnum):
    """What becomes of a package that is not full."""

    UP = "up"
    """A begun package is charged whole."""
    DOWN = "down"
    """Only full packages are charged."""


@dataclass(frozen=True, slots=True)
class Package:
    """Number of packages × package price."""

    name: ClassVar[str] = "package"
    flat_at_zero: ClassVar[Decimal] = ZERO

    package_size: Decimal
    """Units in a package, > 0."""
    package_price: Decimal
    """Price of a package, in major units of the currency, >= 0."""
    rounding: PackageRounding = PackageRounding.UP
    """What becomes of a package that is not full."""

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0."""
        return multiply(self._count(quantity), self.package_price)

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns the one step, of packages, or none where no package is charged."""
        count = self._count(quantity)
        if not count:
            return ()
        step = RatingStep(
            from_quantity=ZERO,
            to_quantity=multiply(count, self.package_size),
            quantity=count,
            unit_price=self.package_price,
            flat_price=ZERO,
            amount=multiply(count, self.package_price),
            kind=StepKind.PACKAGE,
        )
        return (step,)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {
            "package_size": plain_decimal(self.package_size),
            "package_price": plain_decimal(self.package_price),
            "round": str(self.rounding),
        }

    def _count(self, quantity: Exact) -> Decimal:
        """Returns the number of packages that are charged."""
        if isinstance(quantity, Decimal):
            full = EXACT_CONTEXT.divide_int(quantity, self.package_size)
            has_rest = bool(EXACT_CONTEXT.remainder(quantity, self.package_size))
        else:
            whole, rest = divmod(quantity, Fraction(self.package_size))
            full, has_rest = Decimal(whole), bool(rest)
        is_charged = has_rest and self.rounding is PackageRounding.UP
        return EXACT_CONTEXT.add(full, _ONE) if is_charged else full


def read_package(fields: FieldReader) -> Package | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    size = fields.required("package_size", quantity)
    package_price = fields.required("package_price", price)
    rounding = fields.optional("round", choice(PackageRounding), default=PackageRounding.UP)
    if size is not None and size == 0:
        problem = "a package of no units has no price; write how many units it holds"
        fields.note("package_size", reason="PACKAGE_SIZE_ZERO", problem=problem)
        return None
    if size is None or package_price is None:
        return None
    return Package(size, package_price, rounding)
