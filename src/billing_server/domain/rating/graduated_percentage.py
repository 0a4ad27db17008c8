"""The `graduated_percentage` price model: each tier takes its own share of its part.

The quantity is money: what was transacted. Example: 2 % up to 1,000, then 1 %, with 5 for entering
the second tier. 1,500 cost 1,000 × 0.02 + 500 × 0.01 + 5 = 30.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Inexact
from typing import ClassVar

from billing_server.domain.fields import FieldReader
from billing_server.domain.rating.graduated import Graduated, note_too_precise
from billing_server.domain.rating.tier import TierForm, read_tiers, tiers_to_fields


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Graduated):
    """A graduated price whose unit is money, so that its unit prices are rates."""

    name: ClassVar[str] = "graduated_percentage"

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return tiers_to_fields(self.tiers, form=TierForm.RATE)


def read_graduated_percentage(fields: FieldReader) -> GraduatedPercentage | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    tiers = read_tiers(fields, form=TierForm.RATE)
    if tiers is None:
        return None
    try:
        return GraduatedPercentage(tiers)
    except Inexact:
        note_too_precise(fields)
        return None
