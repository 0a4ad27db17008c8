"""The reason that a person states for what they change, for whoever looks at it later."""

from typing import Final

from metering.errors import ValidationError

REASON_BYTES_MAX: Final = 256


def check_reason(reason: str) -> None:
    """Refuse a reason that is too long.

    Raises:
        ValidationError: REASON_TOO_LONG.
    """
    if len(reason.encode()) > REASON_BYTES_MAX:
        raise ValidationError(
            reason="REASON_TOO_LONG", message=f"reason: at most {REASON_BYTES_MAX} bytes"
        )


def check_stated_reason(reason: str) -> None:
    """Refuse a reason that is missing or too long.

    Raises:
        ValidationError: REASON_MISSING, REASON_TOO_LONG.
    """
    if not reason.strip():
        raise ValidationError(
            reason="REASON_MISSING", message="reason: say why, for whoever looks at it later"
        )
    check_reason(reason)
