"""What the doctor finds, and how it looks to a person and to a program."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Severity(Enum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works now, and may not for long."""
    ERROR = "error"
    """Events are not recorded, not shipped, or not safe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of one check."""

    check: str
    """What was looked at, one word."""
    severity: Severity
    """How bad it is."""
    reason: str
    """Stable `UPPER_SNAKE` name; empty where it is OK."""
    message: str
    """What was found."""
    remedy: str = ""
    """What to do; empty where it is OK."""


def ok(check: str, message: str) -> Finding:
    """Returns that a check found nothing wrong."""
    return Finding(check, Severity.OK, "", message)


def warning(check: str, reason: str, message: str, *, remedy: str) -> Finding:
    """Returns something that will go wrong."""
    return Finding(check, Severity.WARNING, reason, message, remedy)


def error(check: str, reason: str, message: str, *, remedy: str) -> Finding:
    """Returns something that is wrong."""
    return Finding(check, Severity.ERROR, reason, message, remedy)


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Returns the findings for a program, and whether all is well."""
    return {
        "is_healthy": is_healthy(findings),
        "findings": [
            {
                "check": item.check,
                "severity": item.severity.value,
                "reason": item.reason,
                "message": item.message,
                "remedy": item.remedy,
            }
            for item in findings
        ],
    }


def to_text(findings: Sequence[Finding]) -> str:
    """Returns one line a finding, with what to do below it, and a count at the end."""
    lines = []
    for item in findings:
        name = f" ({item.reason})" if item.reason else ""
        lines.append(f"{item.severity.value:<8} {item.check:<9} {item.message}{name}")
        if item.remedy:
            lines.append(f"{'':<18} -> {item.remedy}")
    errors = sum(item.severity is Severity.ERROR for item in findings)
    warnings = sum(item.severity is Severity.WARNING for item in findings)
    lines.append(f"{errors} errors, {warnings} warnings")
    return "\n".join(lines)


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Returns whether there is no error; warnings are no errors."""
    return all(item.severity is not Severity.ERROR for item in findings)
