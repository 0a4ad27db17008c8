"""Words of limits that the agent and the server share."""

from enum import StrEnum
from typing import Final

MONEY_DECIMALS: Final = 6
"""Fraction digits of money inside limits and leases: micro-units of the currency."""


class LimitKind(StrEnum):
    """What is escrowed, and how."""

    UNITS = "units"
    """Units of a meter in a calendar window, a billing period or for ever."""
    MONEY = "money"
    """Rated money in a window, or a prepaid balance, in micro-units."""
    RATE = "rate"
    """Units of a meter a minute: a token bucket, of which leases are shares."""
    CONCURRENCY = "concurrency"
    """Calls at one time: leases are slots, given back when a call ends."""
    ROLLING = "rolling"
    """Units of a meter in any span of a length."""


class Enforcement(StrEnum):
    """What becomes of a call that passes a limit."""

    HARD = "hard"
    """Refused."""
    SOFT = "soft"
    """Granted, and flagged in the answer."""
    SHADOW = "shadow"
    """Granted; the decision is only recorded."""


class OfflinePolicy(StrEnum):
    """What an agent does without the server once its leases are used up."""

    CLOSED = "closed"
    """Refuse."""
    ALLOWANCE = "allowance"
    """Grant up to a configured amount in each window, then refuse."""
    OPEN = "open"
    """Grant."""


class SilencePolicy(StrEnum):
    """What the server does with the leases of an agent that it does not hear of."""

    HOLD = "hold"
    """They stay escrowed until the agent comes back or is declared lost."""
    RECLAIM = "reclaim"
    """They are freed for others, within `reclaim_max`."""


class ExpiryBilling(StrEnum):
    """What is billed for a reservation that nobody ended."""

    NOTHING = "nothing"
    """Nothing is billed on a guess."""
    INPUT = "input"
    """Its quantities that no minimum named: what was sent in."""
    USED_SO_FAR = "used_so_far"
    """What its last renewal told as used."""
    MAX = "max"
    """All that was granted."""
