"""What is wrong in a text, collected with its place, so that all of it is told at once."""

from collections.abc import Sequence

from metering.errors import FieldViolation, ValidationError


class FieldMistake(Exception):
    """Says that one value is wrong; the reader adds where it stands."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason
        self.problem = problem


class Mistakes:
    """All that is wrong in one text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._located: list[tuple[int, FieldViolation]] = []

    def add(self, path: str, *, line: int | None, reason: str, problem: str) -> None:
        """Notes one mistake; its description reads `file:line: path: problem`."""
        place = f"{self.name}:{line}: " if line is not None else ""
        where = f"{path}: " if path else ""
        violation = FieldViolation(path, f"{place}{where}{problem}", reason)
        self._located.append((line or 0, violation))

    @property
    def count(self) -> int:
        """Number of mistakes so far."""
        return len(self._located)

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """The mistakes so far, in the order of their lines."""
        in_order = sorted(self._located, key=lambda located: located[0])
        return tuple(violation for _, violation in in_order)

    def raise_if_any(self, *, reason: str) -> None:
        """Raises one ValidationError with every mistake as a violation."""
        raise_violations(self.violations, reason=reason)


def raise_violations(violations: Sequence[FieldViolation], *, reason: str) -> None:
    """Raises one ValidationError that holds all violations, unless there are none."""
    if not violations:
        return
    raise ValidationError(
        reason=reason,
        message="\n".join(violation.description for violation in violations),
        violations=violations,
    )
