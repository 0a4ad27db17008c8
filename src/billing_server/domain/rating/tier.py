"""Tiers of a price: bounds that cover every quantity once (R23)."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billing_server.domain.fields import FieldReader, Parser, price, quantity
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.rates import rate_fraction
from metering.errors import InvariantError
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """A span of quantities with its prices."""

    up_to: Decimal | None
    """Upper bound, inclusive, in the meter's unit; None: without end."""
    unit_price: Decimal = ZERO
    """Price of each unit in the tier, in major units of the currency, >= 0; a rate where the
    quantity is money."""
    flat_price: Decimal = ZERO
    """Charged once when the tier is entered, in major units of the currency, >= 0."""


class TierForm(StrEnum):
    """What a tier of a model may hold beside its bound and its flat price."""

    UNIT_PRICE = "unit_price"
    """The price of each unit."""
    RATE = "rate"
    """The share of each unit, which is money."""
    FLAT_ONLY = "flat_price"
    """Nothing else: the flat price alone is charged."""


_UNIT_PARSERS: Final[Mapping[TierForm, Parser[Decimal]]] = {
    TierForm.UNIT_PRICE: price,
    TierForm.RATE: rate_fraction,
}


def tier_bounds(tiers: tuple[Tier, ...]) -> tuple[Decimal, ...]:
    """Returns the upper bounds of all tiers but the last, for looking up a quantity's tier.

    Raises:
        InvariantError: TIERS_MALFORMED where the tiers do not cover every quantity once.
    """
    bounds = tuple(tier.up_to for tier in tiers[:-1] if tier.up_to is not None)
    ends_open = bool(tiers) and tiers[-1].up_to is None
    is_ascending = all(low < high for low, high in zip((ZERO, *bounds), bounds, strict=False))
    if not ends_open or len(bounds) != len(tiers) - 1 or not is_ascending:
        raise InvariantError(
            reason="TIERS_MALFORMED", message=f"these tiers do not cover all: {tiers}"
        )
    return bounds


def tiers_to_fields(
    tiers: tuple[Tier, ...], *, form: TierForm = TierForm.UNIT_PRICE
) -> dict[str, object]:
    """Returns tiers as a catalog file writes them."""
    return {"tiers": [_tier_to_fields(tier, form) for tier in tiers]}


def _tier_to_fields(tier: Tier, form: TierForm) -> dict[str, str]:
    fields = {} if tier.up_to is None else {"up_to": plain_decimal(tier.up_to)}
    if form is not TierForm.FLAT_ONLY:
        fields[form.value] = plain_decimal(tier.unit_price)
    return fields | {"flat_price": plain_decimal(tier.flat_price)}


def read_tiers(
    fields: FieldReader, *, form: TierForm = TierForm.UNIT_PRICE
) -> tuple[Tier, ...] | None:
    """Reads the `tiers` field; None where something in it is wrong, which is noted.

    Bounds have to ascend strictly, and the last tier, and only it, has to be without one: so no
    quantity lies in two tiers or in none.
    """
    if not fields.has("tiers"):
        problem = "the field is missing; write a list of tiers, the last without up_to"
        fields.note("tiers", reason="FIELD_MISSING", problem=problem)
        return None
    mistakes = fields.mistakes
    count_before = mistakes.count
    readers = [
        FieldReader(node, path=path, mistakes=mistakes) for path, node in fields.items("tiers")
    ]
    if not readers and mistakes.count == count_before:
        problem = "the list is empty; write at least one tier without up_to"
        fields.note("tiers", reason="TIERS_EMPTY", problem=problem)
    tiers = []
    low = ZERO
    for position, reader in enumerate(readers):
        tier = _read_tier(reader, form)
        is_last = position == len(readers) - 1
        _check_bound(reader, tier=tier, low=low, bound_wanted=not is_last)
        low = tier.up_to or low
        tiers.append(tier)
    return tuple(tiers) if mistakes.count == count_before else None


def _read_tier(reader: FieldReader, form: TierForm) -> Tier:
    up_to = reader.maybe("up_to", quantity)
    flat_price = reader.optional("flat_price", price, default=ZERO)
    if form is TierForm.FLAT_ONLY:
        unit_price = ZERO
        _refuse_unit_price(reader)
    else:
        unit_price = reader.optional(form.value, _UNIT_PARSERS[form], default=ZERO)
        if not (reader.has(form.value) or reader.has("flat_price")):
            problem = f'a tier needs a {form} or a flat_price; write "0" for a free tier'
            reader.note(form.value, reason="FIELD_MISSING", problem=problem)
    reader.finish()
    return Tier(up_to, unit_price, flat_price)


def _refuse_unit_price(reader: FieldReader) -> None:
    if reader.has("unit_price"):
        problem = (
            "a stairstep tier has a flat_price alone; leave the unit_price out, or use model "
            "volume, which charges both"
        )
        reader.note("unit_price", reason="UNIT_PRICE_NOT_ALLOWED", problem=problem)
    elif not reader.has("flat_price"):
        problem = 'a stairstep tier needs its flat_price; write "0" for a free tier'
        reader.note("flat_price", reason="FIELD_MISSING", problem=problem)


def _check_bound(reader: FieldReader, *, tier: Tier, low: Decimal, bound_wanted: bool) -> None:
    if reader.has("up_to") and tier.up_to is None:
        return  # The bound is malformed, which is noted already.
    if tier.up_to is None:
        if bound_wanted:
            problem = "only the last tier is without up_to; give this one its upper bound"
            reader.note("up_to", reason="TIER_BOUND_MISSING", problem=problem)
        return
    if not bound_wanted:
        problem = (
            f"the last tier ends at {plain_decimal(tier.up_to)} and nothing prices what is above; "
            "leave its up_to out, or add a tier without up_to"
        )
        reader.note("up_to", reason="LAST_TIER_BOUNDED", problem=problem)
    if tier.up_to <= low:
        problem = (
            f"{plain_decimal(tier.up_to)} is not above {plain_decimal(low)}, where the tier "
            "begins; bounds ascend, adjacent tiers share theirs"
        )
        reader.note("up_to", reason="TIERS_NOT_ASCENDING", problem=problem)
