"""The `stairstep` price model: the flat price of the tier that holds the quantity, and no more.

Example: 10 up to 100, 25 up to 500, then 60. 100 units cost 10, 101 cost 25 and 9,000 cost 60.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from billing_server.domain.fields import FieldReader
from billing_server.domain.rating.tier import TierForm, read_tiers, tiers_to_fields
from billing_server.domain.rating.volume import Volume


@dataclass(frozen=True, slots=True)
class Stairstep(Volume):
    """A volume price of flat prices alone."""

    name: ClassVar[str] = "stairstep"

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return tiers_to_fields(self.tiers, form=TierForm.FLAT_ONLY)


def read_stairstep(fields: FieldReader) -> Stairstep | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    tiers = read_tiers(fields, form=TierForm.FLAT_ONLY)
    return None if tiers is None else Stairstep(tiers)
