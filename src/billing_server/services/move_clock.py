"""The clock: telling the time, and moving that of a test database (R12)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_server.services.context import ServiceContext
from billing_server.services.run_due_work import next_due_time, run_due_work
from metering.clock import ManualClock, format_instant
from metering.errors import InvalidStateError, ValidationError

STEP_MAX = timedelta(days=3653)
"""How far the clock goes at once: ten years. A mistyped year would issue invoices for ages."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Where the clock stands."""

    now: datetime
    """The present instant, UTC."""
    is_test_clock: bool
    """Whether time moves only when told."""


def read_clock(context: ServiceContext) -> ClockReading:
    """Tell the time; that of a test database may have been moved by another server."""
    now = context.clock.now()
    if context.test_clock is None:
        return ClockReading(now, is_test_clock=False)
    with context.store.read() as unit:
        stored = unit.clock.test_clock()
    return ClockReading(max(now, stored or now), is_test_clock=True)


def refresh_clock(context: ServiceContext) -> None:
    """Follow a test clock that another server of the same database has moved."""
    clock = context.test_clock
    if clock is None:
        return
    with context.work_gate:
        with context.store.read() as unit:
            stored = unit.clock.test_clock()
        if stored is not None and stored > clock.now():
            clock.advance_to(stored)


def advance_clock(context: ServiceContext, *, to: datetime) -> ClockReading:
    """Move the test clock, stopping at every instant at which work falls due.

    So each invoice is issued at its own time, in the order in which they fell due, however far the
    clock is moved at once.

    Raises:
        InvalidStateError: CLOCK_IS_REAL.
        ValidationError: CLOCK_BACKWARDS or CLOCK_STEP_TOO_LONG.
    """
    clock = context.test_clock
    if clock is None:
        raise InvalidStateError(
            reason="CLOCK_IS_REAL",
            message="this server runs on real time: only a database that was made with "
            "'serve --test-clock INSTANT' has a clock that can be moved",
        )
    with context.work_gate:
        refresh_clock(context)
        if to < clock.now():
            raise ValidationError(
                reason="CLOCK_BACKWARDS",
                message=f"to: the clock stands at {format_instant(clock.now())} and never goes "
                "back",
            )
        if to - clock.now() > STEP_MAX:
            raise ValidationError(
                reason="CLOCK_STEP_TOO_LONG",
                message=f"to: the clock stands at {format_instant(clock.now())} and goes at most "
                "ten years at once: correct the year, or go in steps",
            )
        run_due_work(context)
        while (due := next_due_time(context, after=clock.now())) is not None and due <= to:
            _move(context, clock=clock, to=due)
            run_due_work(context)
        _move(context, clock=clock, to=to)
    return read_clock(context)


def _move(context: ServiceContext, *, clock: ManualClock, to: datetime) -> None:
    # Written first: a server that is killed here starts again with the later time. Another server
    # may have moved it further meanwhile: it never goes back.
    with context.store.write() as unit:
        stored = unit.clock.lock_test_clock()
        if stored is None or stored < to:
            unit.clock.set_test_clock(to)
    clock.advance_to(max(to, stored or to))
