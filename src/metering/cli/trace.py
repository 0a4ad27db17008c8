"""Traces of AI traffic: reading them strictly, and the usage events that they stand for.

A trace is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens (others are
passed over), one row a call, as the published Azure LLM inference traces have it. What a row
becomes depends on the file's content and the row's number alone, so that a replay run twice sends
equal events.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metering.errors import FieldViolation, ValidationError

TIMESTAMP_COLUMN = "TIMESTAMP"
CONTEXT_COLUMN = "ContextTokens"
GENERATED_COLUMN = "GeneratedTokens"
COLUMNS = (TIMESTAMP_COLUMN, CONTEXT_COLUMN, GENERATED_COLUMN)

TOKEN_DIGITS_MAX = 18
"""Digits that a quantity may have."""

FRACTION_DIGITS = 9
"""Timestamps are read to the nanosecond."""

ID_HASH_DIGITS = 16
"""Hex digits of the content's hash in an event id: 64 bits tell files apart."""

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?", re.ASCII
)
_TOKENS = re.compile(r"\d+", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NANOSECONDS_PER_SECOND = 1_000_000_000
_NANOSECONDS_PER_MICROSECOND = 1_000


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One call of a trace."""

    number: int
    """Position among the data rows, from 0."""
    time_ns: int
    """When it was made, in nanoseconds since 1970 UTC."""
    context_tokens: int
    """Tokens that went in. >= 0."""
    generated_tokens: int
    """Tokens that came out. >= 0."""


@dataclass(frozen=True, slots=True)
class TraceSurvey:
    """What a whole trace holds, known once every row was read and found good."""

    sha256: str
    """Of the file's bytes, in hex."""
    row_count: int
    """Data rows. >= 1."""
    first_time_ns: int
    """Time of row 0, in nanoseconds since 1970 UTC."""
    duration_ns: int
    """From row 0 to the latest row. >= 0."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """The usage event that a row stands for."""

    event_id: str
    """From the file's content and the row's number alone."""
    customer: str
    """`customer-{row number mod customers}`."""
    event_time: datetime
    """The start of the replay plus the row's offset from row 0, to the microsecond, UTC."""
    quantities: dict[str, int]
    """input_tokens, output_tokens, requests."""
    dimensions: dict[str, str]
    """model."""


class _HashingLines:
    """Decodes the lines of a file one by one, and hashes their bytes on the way."""

    def __init__(self, lines: Iterable[bytes], *, name: str) -> None:
        self._lines = lines
        self._name = name
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            self._hash.update(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise _malformed(
                    self._name, number, "", "the line is not UTF-8; save the trace as UTF-8"
                ) from None
            yield text

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def read_trace(lines: Iterable[bytes], *, name: str) -> Iterator[TraceRow]:
    """Reads the rows of a trace one by one, in constant memory.

    Args:
        lines: The file's lines, with their line ends.
        name: The file's name, for errors.

    Raises:
        ValidationError: TRACE_MALFORMED, naming file, line and field.
    """
    yield from _rows(_HashingLines(lines, name=name), name=name)


def survey_trace(lines: Iterable[bytes], *, name: str) -> TraceSurvey:
    """Reads a whole trace, so that nothing is sent of one that has a mistake at its end.

    Raises:
        ValidationError: TRACE_MALFORMED as in `read_trace`; also where there is no row.
    """
    hashed = _HashingLines(lines, name=name)
    row_count = first_time_ns = last_time_ns = 0
    for row in _rows(hashed, name=name):
        if row.number == 0:
            first_time_ns = last_time_ns = row.time_ns
        last_time_ns = max(last_time_ns, row.time_ns)
        row_count += 1
    if row_count == 0:
        raise _malformed(name, 1, "", "the trace has no data row; give one below the header")
    return TraceSurvey(
        sha256=hashed.hexdigest(),
        row_count=row_count,
        first_time_ns=first_time_ns,
        duration_ns=last_time_ns - first_time_ns,
    )


def event_from_row(
    row: TraceRow, *, survey: TraceSurvey, start: datetime, customer_count: int, model: str
) -> TraceEvent:
    """Returns the usage event of a row.

    Args:
        row: The row.
        survey: Of the trace that the row is from.
        start: When row 0 is to have happened, aware.
        customer_count: Customers that the rows are dealt to in turn. >= 1.
        model: Value of the dimension `model`.
    """
    offset_us = (row.time_ns - survey.first_time_ns) // _NANOSECONDS_PER_MICROSECOND
    return TraceEvent(
        # Fixed width, so that ids sort in the order of the rows: the server's index likes that.
        event_id=f"{survey.sha256[:ID_HASH_DIGITS]}-{row.number:010d}",
        customer=f"customer-{row.number % customer_count}",
        event_time=start + timedelta(microseconds=offset_us),
        quantities={
            "input_tokens": row.context_tokens,
            "output_tokens": row.generated_tokens,
            "requests": 1,
        },
        dimensions={"model": model},
    )


def _rows(lines: Iterable[str], *, name: str) -> Iterator[TraceRow]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        places = _column_places(header, name=name)
        number = 0
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise _malformed(
                    name,
                    reader.line_num,
                    "",
                    f"the row has {len(cells)} fields and the header {len(header)}; "
                    "complete the row or take it out",
                )
            yield _row(cells, places, number=number, name=name, line=reader.line_num)
            number += 1
    except csv.Error as error:
        raise _malformed(
            name, reader.line_num, "", f"the line is no CSV ({error}); mend its quotes"
        ) from error


def _column_places(header: list[str], *, name: str) -> tuple[int, int, int]:
    titles = [title.strip() for title in header]
    missing = [column for column in COLUMNS if column not in titles]
    if missing:
        raise _malformed(
            name,
            1,
            missing[0],
            f"the header has no column {', '.join(missing)}; a trace has {', '.join(COLUMNS)}",
        )
    repeated = [column for column in COLUMNS if titles.count(column) > 1]
    if repeated:
        raise _malformed(
            name,
            1,
            repeated[0],
            f"the header names the column {repeated[0]} more than once; take one of them out",
        )
    first, second, third = (titles.index(column) for column in COLUMNS)
    return first, second, third


def _row(
    cells: list[str], places: tuple[int, int, int], *, number: int, name: str, line: int
) -> TraceRow:
    return TraceRow(
        number=number,
        time_ns=_time_ns(cells[places[0]], name=name, line=line),
        context_tokens=_tokens(cells[places[1]], name=name, line=line, column=CONTEXT_COLUMN),
        generated_tokens=_tokens(cells[places[2]], name=name, line=line, column=GENERATED_COLUMN),
    )


def _time_ns(text: str, *, name: str, line: int) -> int:
    match = _TIMESTAMP.fullmatch(text.strip())
    time_ns = _time_ns_from_match(match) if match is not None else None
    if time_ns is None:
        raise _malformed(
            name,
            line,
            TIMESTAMP_COLUMN,
            f"{text!r} is no UTC time; write it as 2023-11-16 18:15:46.6805900",
        )
    return time_ns


def _time_ns_from_match(match: re.Match[str]) -> int | None:
    """Returns the time, None where there is no such day or hour."""
    try:
        year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    fraction = int((match[7] or "").ljust(FRACTION_DIGITS, "0"))
    return (moment - _EPOCH) // _SECOND * _NANOSECONDS_PER_SECOND + fraction


def _tokens(text: str, *, name: str, line: int, column: str) -> int:
    stripped = text.strip()
    if not _TOKENS.fullmatch(stripped) or len(stripped) > TOKEN_DIGITS_MAX:
        raise _malformed(
            name,
            line,
            column,
            f"{text!r} is no count of tokens; write a whole number >= 0 of at most "
            f"{TOKEN_DIGITS_MAX} digits",
        )
    return int(stripped)


def _malformed(name: str, line: int, column: str, description: str) -> ValidationError:
    place = f"{name}:{line}" + (f" {column}" if column else "")
    return ValidationError(
        reason="TRACE_MALFORMED",
        message=f"{place}: {description}.",
        violations=(FieldViolation(field=place, description=description),),
    )
