"""Tiers of a price: bounds that cover every quantity once (R23)."""

from dataclasses import dataclass
from decimal import Decimal

from billing_server.domain.fields import FieldReader, price, quantity
from billing_server.domain.rating.price_model import ZERO
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """A span of quantities with its prices."""

    up_to: Decimal | None
    """Upper bound, inclusive, in the meter's unit; None: without end."""
    unit_price: Decimal = ZERO
    """Price of each unit in the tier, in major units of the currency, >= 0."""
    flat_price: Decimal = ZERO
    """Charged once when the tier is entered, in major units of the currency, >= 0."""


def tier_to_fields(tier: Tier) -> dict[str, str]:
    """Returns a tier as a catalog file writes it."""
    bound = {} if tier.up_to is None else {"up_to": plain_decimal(tier.up_to)}
    return bound | {
        "unit_price": plain_decimal(tier.unit_price),
        "flat_price": plain_decimal(tier.flat_price),
    }


def read_tiers(fields: FieldReader) -> tuple[Tier, ...] | None:
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
        tier = _read_tier(reader)
        is_last = position == len(readers) - 1
        _check_bound(reader, tier=tier, low=low, bound_wanted=not is_last)
        low = tier.up_to or low
        tiers.append(tier)
    return tuple(tiers) if mistakes.count == count_before else None


def _read_tier(reader: FieldReader) -> Tier:
    tier = Tier(
        up_to=reader.maybe("up_to", quantity),
        unit_price=reader.optional("unit_price", price, default=ZERO),
        flat_price=reader.optional("flat_price", price, default=ZERO),
    )
    if not (reader.has("unit_price") or reader.has("flat_price")):
        problem = 'a tier needs a unit_price or a flat_price; write "0" for a free tier'
        reader.note("unit_price", reason="FIELD_MISSING", problem=problem)
    reader.finish()
    return tier


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
