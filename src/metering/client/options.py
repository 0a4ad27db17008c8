"""How a meter buffers and sends, with the bounds that keep it harmless."""

from dataclasses import dataclass, fields

from metering.errors import ValidationError

BATCH_EVENT_COUNT_LIMIT = 10_000
"""Most events that an agent takes in one request (contract of RecordUsage)."""

BATCH_BYTES_LIMIT = 4 * 1024 * 1024
"""Most bytes that an agent takes in one request (contract of RecordUsage)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterOptions:
    """Options of a meter. The defaults suit an inference service; all times are in seconds."""

    buffer_event_count_max: int = 100_000
    """Events that may wait for the agent; more are dropped, counted and logged. >= 1."""
    batch_event_count_max: int = 1_000
    """Events in one request. 1..10,000."""
    batch_bytes_max: int = 1024 * 1024
    """Bytes in one request. 1..4 MiB."""
    linger_seconds: float = 0.01
    """How long an event may wait for others to share its request. >= 0."""
    request_timeout_seconds: float = 10.0
    """How long one request may take before it is tried again. > 0."""
    backoff_initial_seconds: float = 0.1
    """Upper bound of the first pause after a failed request; doubles with each failure. > 0."""
    backoff_max_seconds: float = 2.0
    """Upper bound of every pause after a failed request. >= backoff_initial_seconds."""
    isolation_attempt_count_max: int = 8
    """Internal errors after which one event alone is given up, each after another request has
    passed: an agent that fails for all loses nothing. >= 1."""
    close_timeout_seconds: float = 5.0
    """How long `close` waits for the agent. >= 0."""
    exit_timeout_seconds: float = 2.0
    """How long the end of the process waits for the agent, all meters together. >= 0."""
    quota_timeout_seconds: float = 2.0
    """How long a call of a reservation waits for the agent before it counts as away. > 0."""
    settlement_count_max: int = 10_000
    """Ends of reservations that may wait for an absent agent; more are lost and logged. >= 1."""

    def __post_init__(self) -> None:
        problems = [
            f"{field.name} must not be negative"
            for field in fields(self)
            if getattr(self, field.name) < 0
        ]
        problems += self._range_problems()
        if problems:
            raise ValidationError(
                reason="METER_OPTIONS_INVALID",
                message=f"Meter options are out of range: {'; '.join(problems)}.",
            )

    def _range_problems(self) -> list[str]:
        problems = []
        if self.buffer_event_count_max < 1:
            problems.append("buffer_event_count_max must be at least 1")
        if not 1 <= self.batch_event_count_max <= BATCH_EVENT_COUNT_LIMIT:
            problems.append(f"batch_event_count_max must be 1..{BATCH_EVENT_COUNT_LIMIT}")
        if not 1 <= self.batch_bytes_max <= BATCH_BYTES_LIMIT:
            problems.append(f"batch_bytes_max must be 1..{BATCH_BYTES_LIMIT}")
        if self.request_timeout_seconds <= 0:
            problems.append("request_timeout_seconds must be more than 0")
        if self.quota_timeout_seconds <= 0:
            problems.append("quota_timeout_seconds must be more than 0")
        if self.settlement_count_max < 1:
            problems.append("settlement_count_max must be at least 1")
        if not 0 < self.backoff_initial_seconds <= self.backoff_max_seconds:
            problems.append("backoff_initial_seconds must be in (0, backoff_max_seconds]")
        if self.isolation_attempt_count_max < 1:
            problems.append("isolation_attempt_count_max must be at least 1")
        return problems
