"""Usage of a scenario from a file: events as CSV, or a trace of calls.

A file of events has a header with `event_time` and, for each quantity, a column `quantities.NAME`;
`customer`, `event_id` and columns `dimensions.NAME` may be there. An empty cell is left out. A
trace has the columns TIMESTAMP, ContextTokens and GeneratedTokens, which are read as `input_tokens`
and `output_tokens`; its first row happens where the entry of the timeline stands, and the others
keep their distances.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from billing_server.domain.mistakes import Mistakes
from billing_server.services.scenario_steps import UsageStep
from metering.cli.trace import TIMESTAMP_COLUMN, read_trace
from metering.clock import parse_instant
from metering.errors import MeteringError
from metering.quantity import canonical_quantity

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

USAGE_FILE_INVALID: Final = "USAGE_FILE_INVALID"
ROWS_MAX: Final = 100_000
"""Events of one file."""
MISTAKES_MAX: Final = 20
"""Mistakes that are told of one file; the rest is most often the same again."""
_QUANTITIES: Final = "quantities."
_DIMENSIONS: Final = "dimensions."
_PLAIN_COLUMNS: Final = ("event_time", "customer", "event_id")
_NANOSECONDS_PER_MICROSECOND: Final = 1_000

T = TypeVar("T")
ReadFile = Callable[[str], bytes]
"""Returns the bytes of a file that a scenario names, relative to the scenario."""


@dataclass(frozen=True, slots=True)
class UsageFile:
    """What an entry of the timeline says of its file."""

    name: str
    """Of the file, for messages."""
    start: datetime
    """When the server hears of it at the earliest; where a trace's first row happens."""
    customer_id: str | None
    """Whose usage, where the file does not say; None: the file says."""
    event_id: str
    """Ids of events without one are this, a dash and the number of their row."""
    dimensions: Mapping[str, str]
    """Of every event; the file's own go before them."""


def read_usage_file(content: bytes, *, file: UsageFile) -> tuple[UsageStep, ...]:
    """Read a file of usage into single events, in order of the time at which they are heard.

    Raises:
        ValidationError: USAGE_FILE_INVALID or TRACE_MALFORMED, naming file, line and column.
    """
    mistakes = Mistakes(file.name)
    header_end = content.find(b"\n")
    header = content[: header_end if header_end >= 0 else len(content)]
    if TIMESTAMP_COLUMN.encode() in header:
        steps = _trace_steps(content, file=file, mistakes=mistakes)
    else:
        steps = _event_steps(content, file=file, mistakes=mistakes)
    mistakes.raise_if_any(reason=USAGE_FILE_INVALID)
    return tuple(sorted(steps, key=lambda step: step.event_time or file.start))


def _trace_steps(content: bytes, *, file: UsageFile, mistakes: Mistakes) -> list[UsageStep]:
    if file.customer_id is None:
        problem = "a trace says nothing of customers; give the entry a customer"
        mistakes.add("", line=1, reason="CUSTOMER_MISSING", problem=problem)
        return []
    steps: list[UsageStep] = []
    first_time_ns = 0
    for row in read_trace(content.splitlines(keepends=True), name=file.name):
        if row.number == 0:
            first_time_ns = row.time_ns
        if _is_too_long(row.number, mistakes=mistakes):
            return []
        microseconds = (row.time_ns - first_time_ns) // _NANOSECONDS_PER_MICROSECOND
        steps.append(
            _step(
                file,
                number=row.number,
                event_time=file.start + timedelta(microseconds=microseconds),
                quantities={
                    "input_tokens": str(row.context_tokens),
                    "output_tokens": str(row.generated_tokens),
                },
            )
        )
    return steps


def _event_steps(content: bytes, *, file: UsageFile, mistakes: Mistakes) -> list[UsageStep]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [title.strip() for title in next(reader, [])]
        _check_header(header, file=file, mistakes=mistakes)
        if mistakes.count:
            return []
        return list(_rows(reader, header=header, file=file, mistakes=mistakes))
    except UnicodeDecodeError:
        mistakes.add("", line=1, reason="FILE_MALFORMED", problem="save the file as UTF-8")
    except csv.Error as error:
        problem = f"the line is no CSV ({error}); mend its quotes"
        mistakes.add("", line=reader.line_num, reason="FILE_MALFORMED", problem=problem)
    return []


def _check_header(header: Sequence[str], *, file: UsageFile, mistakes: Mistakes) -> None:
    for title in header:
        if title not in _PLAIN_COLUMNS and not title.startswith((_QUANTITIES, _DIMENSIONS)):
            problem = (
                f"column {title!r} is not known; use {', '.join(_PLAIN_COLUMNS)}, "
                "quantities.NAME and dimensions.NAME"
            )
            mistakes.add(title, line=1, reason="COLUMN_UNKNOWN", problem=problem)
        if header.count(title) > 1:
            mistakes.add(title, line=1, reason="COLUMN_DUPLICATE", problem="it stands twice")
    if "event_time" not in header:
        problem = "the column is missing"
        mistakes.add("event_time", line=1, reason="COLUMN_MISSING", problem=problem)
    if not any(title.startswith(_QUANTITIES) for title in header):
        problem = "a column with a quantity is missing, such as quantities.input_tokens"
        mistakes.add("quantities", line=1, reason="COLUMN_MISSING", problem=problem)
    if "customer" not in header and file.customer_id is None:
        problem = "the column is missing; or give the entry of the timeline a customer"
        mistakes.add("customer", line=1, reason="COLUMN_MISSING", problem=problem)


def _rows(
    reader: "CsvReader", *, header: Sequence[str], file: UsageFile, mistakes: Mistakes
) -> Iterator[UsageStep]:
    number = 0
    for cells in reader:
        if not cells:
            continue
        if _is_too_long(number, mistakes=mistakes) or mistakes.count >= MISTAKES_MAX:
            return
        line = reader.line_num
        if len(cells) != len(header):
            problem = f"the row has {len(cells)} fields and the header {len(header)}"
            mistakes.add("", line=line, reason="ROW_MALFORMED", problem=problem)
            continue
        row = {
            title: cell.strip() for title, cell in zip(header, cells, strict=True) if cell.strip()
        }
        step = _event_step(row, number=number, line=line, file=file, mistakes=mistakes)
        if step is not None:
            yield step
        number += 1


def _event_step(
    row: Mapping[str, str], *, number: int, line: int, file: UsageFile, mistakes: Mistakes
) -> UsageStep | None:
    count_before = mistakes.count
    event_time = _parsed(row, "event_time", parse_instant, line=line, mistakes=mistakes)
    quantities = {
        title.removeprefix(_QUANTITIES): value
        for title in row
        if title.startswith(_QUANTITIES)
        and (value := _parsed(row, title, canonical_quantity, line=line, mistakes=mistakes))
    }
    if not quantities and mistakes.count == count_before:
        problem = "the row has no quantity"
        mistakes.add("quantities", line=line, reason="QUANTITY_MISSING", problem=problem)
    customer_id = row.get("customer", file.customer_id)
    if customer_id is None:
        problem = "the row has no customer"
        mistakes.add("customer", line=line, reason="CUSTOMER_MISSING", problem=problem)
    if event_time is None or customer_id is None or mistakes.count != count_before:
        return None
    dimensions = {
        title.removeprefix(_DIMENSIONS): value
        for title, value in row.items()
        if title.startswith(_DIMENSIONS)
    }
    return _step(
        file,
        number=number,
        event_time=event_time,
        quantities=quantities,
        customer_id=customer_id,
        event_id=row.get("event_id"),
        dimensions=dimensions,
    )


def _parsed(
    row: Mapping[str, str], title: str, parse: Callable[[str], T], *, line: int, mistakes: Mistakes
) -> T | None:
    if title not in row:
        mistakes.add(title, line=line, reason="FIELD_MISSING", problem="the field is empty")
        return None
    try:
        return parse(row[title])
    except MeteringError as error:
        mistakes.add(title, line=line, reason=error.reason, problem=error.message)
        return None


def _step(
    file: UsageFile,
    *,
    number: int,
    event_time: datetime,
    quantities: Mapping[str, str],
    customer_id: str | None = None,
    event_id: str | None = None,
    dimensions: Mapping[str, str] | None = None,
) -> UsageStep:
    return UsageStep(
        customer_id=customer_id or file.customer_id or "",
        event_id=event_id or f"{file.event_id}-{number}",
        quantities=quantities,
        dimensions={**file.dimensions, **(dimensions or {})},
        event_time=event_time,
        every=None,
        until=None,
    )


def _is_too_long(number: int, *, mistakes: Mistakes) -> bool:
    if number < ROWS_MAX:
        return False
    problem = f"the file has more than {ROWS_MAX:,} events; play it in parts"
    mistakes.add("", line=None, reason="FILE_TOO_LONG", problem=problem)
    return True
