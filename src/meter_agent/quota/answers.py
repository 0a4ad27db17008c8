"""What may come of a question for quota."""

from dataclasses import dataclass, field
from decimal import Decimal

from meter_agent.core.quota.decide import Denial, Shortage
from meter_agent.core.quota.reservation import Reservation
from meter_agent.core.quota.terms import LimitTerms, Quantities
from metering.api.v1.usage_pb2 import SettlementKind


@dataclass(frozen=True, slots=True)
class Passed:
    """A limit that refuses, or is passed without refusing, with its terms."""

    denial: Denial
    """Why."""
    limit: LimitTerms | None
    """Its terms; None where no limit of that key is known."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Quota is held."""

    reservation: Reservation
    """As it stands now."""
    is_partial: bool
    """Whether it is less than was asked for."""
    exceeded: tuple[Passed, ...] = ()
    """Limits that were passed and do not refuse."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing is held, or nothing more."""

    passed: Passed
    """The limit that refused."""


@dataclass(frozen=True, slots=True)
class Question:
    """Not decided: the server is to be asked."""

    shortages: tuple[Shortage, ...]
    """What is short; empty where the customer's terms are not known."""


Answer = Granted | Denied | Question


@dataclass(frozen=True, slots=True)
class Ended:
    """A reservation was ended, now or before in the same way."""

    event_id: str
    """Of the usage event; empty where there was none."""
    kind: SettlementKind
    """How it ended."""
    overrun: Quantities = field(default_factory=dict)
    """Used beyond what was granted, by quantity name."""


def overrun_of(used: Quantities, *, granted: Quantities) -> dict[str, Decimal]:
    """Returns what was used beyond what was granted, of quantities that were granted at all."""
    return {
        name: value - granted[name]
        for name, value in used.items()
        if name in granted and value > granted[name]
    }
