"""Traces are read strictly, and rows become the same events every time."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.cli.trace import TraceRow, TraceSurvey, event_from_row, read_trace, survey_trace
from metering.errors import ValidationError

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
START = datetime(2026, 11, 1, tzinfo=UTC)


def _lines(text: str) -> list[bytes]:
    return text.encode().splitlines(keepends=True)


def _read(text: str) -> list[TraceRow]:
    return list(read_trace(_lines(text), name="t.csv"))


def test_rows_are_read_to_the_last_digit() -> None:
    first, second = _read(HEADER + ROWS)
    # 2023-11-16T18:15:46Z is 1,700,158,546 seconds after 1970.
    assert first == TraceRow(0, 1_700_158_546_680_590_000, 374, 44)
    assert second == TraceRow(1, 1_700_158_550_995_169_000, 396, 109)


def test_a_column_that_stands_twice_is_refused() -> None:
    text = "TIMESTAMP,ContextTokens,GeneratedTokens, ContextTokens\n"
    with pytest.raises(ValidationError, match=r"t\.csv:1 ContextTokens: the header names"):
        _read(text)


def test_columns_are_found_by_name_and_others_passed_over() -> None:
    text = "GeneratedTokens, Region ,TIMESTAMP,ContextTokens\n44,eu,2023-11-16T18:15:46Z,374\n"
    (row,) = _read(text)
    assert (row.context_tokens, row.generated_tokens) == (374, 44)


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_harmless() -> None:
    text = "\ufeff" + (HEADER + ROWS + "\n").replace("\n", "\r\n")
    assert _read(text) == _read(HEADER + ROWS)


def test_a_survey_tells_what_the_whole_trace_holds() -> None:
    survey = survey_trace(_lines(HEADER + ROWS), name="t.csv")
    assert survey == TraceSurvey(
        sha256=hashlib.sha256((HEADER + ROWS).encode()).hexdigest(),
        row_count=2,
        first_time_ns=1_700_158_546_680_590_000,
        # 50.995169 - 46.680590 seconds.
        duration_ns=4_314_579_000,
    )


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("", "t.csv:1 TIMESTAMP", "a trace has TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("TIMESTAMP,GeneratedTokens\n", "t.csv:1 ContextTokens", "no column ContextTokens"),
        (HEADER, "t.csv:1", "no data row"),
        (HEADER + ROWS + "2023-11-16 18:15:46,1\n", "t.csv:4", "2 fields and the header 3"),
        (HEADER + "yesterday,1,1\n", "t.csv:2 TIMESTAMP", "write it as 2023-11-16 18:15:46"),
        (HEADER + "2023-02-30 00:00:00,1,1\n", "t.csv:2 TIMESTAMP", "is no UTC time"),
        (HEADER + "2023-02-03 00:00:00+01:00,1,1\n", "t.csv:2 TIMESTAMP", "is no UTC time"),
        (HEADER + ROWS + "2023-11-16 18:15:46,-1,1\n", "t.csv:4 ContextTokens", "'-1'"),
        (HEADER + "2023-11-16 18:15:46,1,1.5\n", "t.csv:2 GeneratedTokens", "'1.5'"),
        (HEADER + "2023-11-16 18:15:46,1," + "9" * 19 + "\n", "t.csv:2 GeneratedTokens", "18"),
        (HEADER + "2023-11-16 18:15:46,1,٣\n", "t.csv:2 GeneratedTokens", "is no count of tokens"),
        (HEADER + '2023-11-16 18:15:46,1,"1" 2\n', "t.csv:2", "mend its quotes"),
    ],
)
def test_a_bad_trace_is_refused_with_file_line_field_and_remedy(
    text: str, place: str, remedy: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        survey_trace(_lines(text), name="t.csv")
    assert caught.value.reason == "TRACE_MALFORMED"
    assert str(caught.value).startswith(f"{place}: ")
    assert remedy in str(caught.value)


def test_a_line_that_is_not_utf8_is_named() -> None:
    lines = [*_lines(HEADER), b"2023-11-16 18:15:46,1,\xff\n"]
    with pytest.raises(ValidationError, match=r"t\.csv:2: the line is not UTF-8"):
        survey_trace(lines, name="t.csv")


def _survey(text: str = HEADER + ROWS) -> TraceSurvey:
    return survey_trace(_lines(text), name="t.csv")


def test_a_row_becomes_the_event_of_its_customer_and_moment() -> None:
    row = _read(HEADER + ROWS)[1]
    event = event_from_row(row, survey=_survey(), start=START, customer_count=10, model="large")
    sha256 = hashlib.sha256((HEADER + ROWS).encode()).hexdigest()
    assert event.event_id == f"{sha256[:16]}-0000000001"
    assert event.customer == "customer-1"
    # 4.314579 s after the first row.
    assert event.event_time == START + timedelta(seconds=4, microseconds=314_579)
    assert event.quantities == {"input_tokens": 396, "output_tokens": 109, "requests": 1}
    assert event.dimensions == {"model": "large"}


def test_what_lies_below_a_microsecond_is_cut() -> None:
    text = HEADER + "2023-11-16 18:15:46.0000000,1,1\n2023-11-16 18:15:46.0000019,1,1\n"
    event = event_from_row(
        _read(text)[1], survey=_survey(text), start=START, customer_count=1, model="m"
    )
    assert event.event_time == START + timedelta(microseconds=1)


def test_a_start_in_another_zone_is_the_same_moment() -> None:
    row = _read(HEADER + ROWS)[0]
    berlin = datetime(2026, 11, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    event = event_from_row(row, survey=_survey(), start=berlin, customer_count=1, model="m")
    assert event.event_time == START


@given(number=st.integers(0, 9_999_999_999), customer_count=st.integers(1, 1_000))
def test_rows_are_dealt_to_customers_in_turn_and_ids_sort_as_rows(
    number: int, customer_count: int
) -> None:
    survey = _survey()
    rows = [TraceRow(number, survey.first_time_ns, 1, 1) for number in (number, number + 1)]
    events = [
        event_from_row(row, survey=survey, start=START, customer_count=customer_count, model="m")
        for row in rows
        if row.number <= 9_999_999_999
    ]
    assert events[0].customer == f"customer-{number % customer_count}"
    assert [event.event_id for event in events] == sorted(event.event_id for event in events)
