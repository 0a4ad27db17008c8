"""Limits as an agent knows them, and how much of each a call takes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from meter_agent.core.quota.estimate import PriceBound, highest_cost
from metering.limits import Enforcement, ExpiryBilling, LimitKind, OfflinePolicy

Quantities = Mapping[str, Decimal]
"""Quantity name to value, >= 0, in the meter's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTerms:
    """A limit of one customer. Amounts are integers of 10**-decimals of its unit."""

    limit_key: str
    """Unique for the customer, 1..64 bytes; limits are decided in the order of their keys."""
    kind: LimitKind
    """What is escrowed, and how."""
    quantity: str = ""
    """The event's quantity that is limited; empty for money and concurrency."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that a call must carry for the limit to hold; empty: all calls."""
    is_count: bool = False
    """Whether a call that carries the quantity counts as 1: a meter that counts."""
    decimals: int = 0
    """Fraction digits of an amount: the meter's, 6 for money, 0 for slots. 0..9."""
    max: int = 0
    """The limit itself, >= 0."""
    enforcement: Enforcement = Enforcement.HARD
    """What becomes of a call that passes it."""
    when_offline: OfflinePolicy = OfflinePolicy.CLOSED
    """What to do without the server once the leases are used up."""
    allowance: int = 0
    """Granted offline in all in one window, under `OfflinePolicy.ALLOWANCE`. >= 0."""
    bill_on_expiry: ExpiryBilling = ExpiryBilling.NOTHING
    """What is billed for a reservation that nobody ended."""
    currency: str = ""
    """ISO 4217 code for money; else empty."""
    prices: tuple[PriceBound, ...] = ()
    """What usage can cost at most, for money."""
    window_id: str = ""
    """The current window, as the server names it."""
    window_ends_at_us: int | None = None
    """When it ends, on the agent's clock of leases; None: never, or not known."""
    remaining: int = 0
    """What was left to grant when the server answered; advice for a refusal's text. >= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerTerms:
    """All limits of one customer: what is not listed does not exist."""

    customer_id: str
    """1..128 bytes."""
    revision: int = 0
    """Rises with every change of the terms of any customer; 0: never heard."""
    limits: tuple[LimitTerms, ...] = ()
    """In the order of their keys."""
    is_unknown: bool = False
    """Whether the server knows no such customer."""

    def limit(self, limit_key: str) -> LimitTerms | None:
        """Returns the limit of that key; None where there is none any more."""
        return next((limit for limit in self.limits if limit.limit_key == limit_key), None)


def terms_of_extension(
    terms: CustomerTerms, *, held_keys: Collection[str], quantities: Collection[str]
) -> CustomerTerms:
    """Returns the limits that hold for more of a call that is running.

    It is one call and ends as one event, however often it is extended: its slot, its one of a limit
    that counts calls, and what prices charge for each event are held already.

    Args:
        terms: The customer's limits.
        held_keys: Of the limits of which its reservation holds something.
        quantities: Names of those that its reservation was granted.
    """
    limits = []
    for limit in terms.limits:
        is_held = limit.limit_key in held_keys
        if limit.kind is LimitKind.CONCURRENCY or (limit.is_count and is_held):
            continue
        limits.append(_without_events(limit, quantities) if is_held else limit)
    return replace(terms, limits=tuple(limits))


def _without_events(limit: LimitTerms, quantities: Collection[str]) -> LimitTerms:
    prices = [
        replace(price, event_price=Decimal(0), steps=() if price.is_count else price.steps)
        if price.quantity in quantities
        else price
        for price in limit.prices
    ]
    return replace(limit, prices=tuple(prices))


def is_limited(limit: LimitTerms, *, dimensions: Mapping[str, str], quantities: Quantities) -> bool:
    """Tells whether the limit holds for a call with these dimensions and quantities."""
    if any(dimensions.get(key) != value for key, value in limit.where.items()):
        return False
    return not limit.quantity or limit.quantity in quantities


def amount_of(
    limit: LimitTerms,
    *,
    dimensions: Mapping[str, str],
    quantities: Quantities,
    ahead: Quantities | None = None,
) -> int | None:
    """Returns what a call takes of the limit, rounded up; None where its price has no bound.

    Example: 1.5 seconds under a limit of 3 decimals is 1500; 1000 tokens at "0.000003" under a
    limit of money is 3000 micro-units.

    Args:
        limit: The limit.
        dimensions: Of the call.
        quantities: Of the call.
        ahead: What this agent used or holds since the server told the prices, by quantity name:
            the call's units may lie that far on. None: nothing.
    """
    if not is_limited(limit, dimensions=dimensions, quantities=quantities):
        return 0
    if limit.kind is LimitKind.CONCURRENCY:
        return 1
    if limit.kind is LimitKind.MONEY:
        cost = highest_cost(
            limit.prices, dimensions=dimensions, quantities=quantities, ahead=ahead or {}
        )
        return None if cost is None else _rounded_up(cost, decimals=limit.decimals)
    value = Decimal(1) if limit.is_count else quantities[limit.quantity]
    return _rounded_up(Fraction(value), decimals=limit.decimals)


def _rounded_up(value: Fraction, *, decimals: int) -> int:
    power: int = 10**decimals
    return -(-value.numerator * power // value.denominator)
