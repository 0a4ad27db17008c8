"""What was decided and counted of limits since the process started, by limit key."""

from collections import Counter
from collections.abc import Iterable, Mapping

from meter_agent.core.quota.decide import Denial


class QuotaFigures:
    """Counters. The writer's thread counts; any thread reads. Customers are never told apart."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[str, str]] = Counter()
        """Calls refused, by limit key (empty where there is none) and reason."""
        self.exceeded: Counter[str] = Counter()
        """Calls granted although a limit was passed, by limit key."""
        self.uncovered: Counter[str] = Counter()
        """Usage without a reservation that no lease bore, by limit key, in its smallest unit."""
        self.overrun: Counter[str] = Counter()
        """Usage beyond what was reserved that no lease bore, by limit key."""
        self.granted_offline: Counter[str] = Counter()
        """Granted from the agent's own allowance or because a limit is open, by limit key."""
        self.decided: Counter[str] = Counter()
        """Answers to reservations and extensions, by decision."""
        self.ended: Counter[str] = Counter()
        """Reservations ended, by kind."""
        self.expired_count = 0
        """Reservations that expired, >= 0."""
        self.billed_on_expiry_count = 0
        """Of these, those billed on a guess because their limit says so, >= 0."""

    def denied(self, denial: Denial) -> None:
        """Counts a refusal."""
        self.refused[denial.limit_key, denial.reason.value] += 1

    def passed(self, exceeded: Iterable[Denial]) -> None:
        """Counts limits that were passed without refusing."""
        for denial in exceeded:
            self.exceeded[denial.limit_key] += 1

    def not_covered(self, uncovered: Mapping[str, int]) -> None:
        """Counts usage without a reservation that no lease bore."""
        self.uncovered.update(uncovered)

    def overran(self, uncovered: Mapping[str, int]) -> None:
        """Counts usage beyond a reservation that no lease bore."""
        self.overrun.update(uncovered)
