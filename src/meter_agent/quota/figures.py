"""What was decided and counted of limits since the process started, by limit and unit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meter_agent.core.quota.decide import Denial
from meter_agent.core.quota.terms import CustomerTerms


class LimitName(NamedTuple):
    """What figures are summed by. Limits of one key may count something else by customer."""

    limit_key: str
    """Key of the limit; empty where none refused."""
    unit: str
    """A quantity's name, a currency, or "calls"; empty where terms are not known any more."""
    decimals: int
    """Fraction digits of the amounts."""


def limit_name(limit_key: str, terms: CustomerTerms | None) -> LimitName:
    """Returns under which name a customer's limit is summed."""
    limit = None if terms is None else terms.limit(limit_key)
    if limit is None:
        return LimitName(limit_key, "", 0)
    return LimitName(limit_key, limit.currency or limit.quantity or "calls", limit.decimals)


class QuotaFigures:
    """Counters. The writer's thread counts; any thread reads. Customers are never told apart."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[LimitName, str]] = Counter()
        """Calls refused, by limit and reason."""
        self.exceeded: Counter[LimitName] = Counter()
        """Calls granted although a limit was passed."""
        self.uncovered: Counter[LimitName] = Counter()
        """Usage without a reservation that no lease bore, in the limit's smallest unit."""
        self.overrun: Counter[LimitName] = Counter()
        """Usage beyond what was reserved that no lease bore."""
        self.granted_offline: Counter[LimitName] = Counter()
        """Granted from the agent's own allowance."""
        self.decided: Counter[str] = Counter()
        """Answers to reservations and extensions, by decision."""
        self.ended: Counter[str] = Counter()
        """Reservations ended, by kind."""
        self.expired_count = 0
        """Reservations that expired, >= 0."""
        self.billed_on_expiry_count = 0
        """Of these, those billed on a guess because their limit says so, >= 0."""

    def denied(self, denial: Denial, *, terms: CustomerTerms | None) -> None:
        """Counts a refusal."""
        self.refused[limit_name(denial.limit_key, terms), denial.reason.value] += 1

    def passed(self, exceeded: Iterable[Denial], *, terms: CustomerTerms) -> None:
        """Counts limits that were passed without refusing."""
        for denial in exceeded:
            self.exceeded[limit_name(denial.limit_key, terms)] += 1

    def not_covered(self, uncovered: Mapping[str, int], *, terms: CustomerTerms) -> None:
        """Counts usage without a reservation that no lease bore."""
        for limit_key, amount in uncovered.items():
            self.uncovered[limit_name(limit_key, terms)] += amount

    def overran(self, uncovered: Mapping[str, int], *, terms: CustomerTerms) -> None:
        """Counts usage beyond a reservation that no lease bore."""
        for limit_key, amount in uncovered.items():
            self.overrun[limit_name(limit_key, terms)] += amount
