"""Usage of a scenario from a file."""

from dataclasses import replace

import pytest

from billing_server.services import scenario_file as module
from billing_server.services.scenario_file import UsageFile, read_usage_file
from metering.clock import format_instant, parse_instant
from metering.errors import ValidationError

FILE = UsageFile(
    name="usage.csv",
    start=parse_instant("2026-02-01T00:00:00Z"),
    customer_id="acme",
    event_id="file",
    dimensions={"region": "eu"},
)
HEADER = "event_time,customer,event_id,quantities.tokens,quantities.images,dimensions.model\n"


def refused(content: str) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        read_usage_file(content.encode(), file=FILE)
    return [violation.description for violation in raised.value.violations]


def test_rows_become_events_in_order_of_their_time() -> None:
    content = (
        HEADER
        + "2026-02-03T00:00:00Z,,,2.50,,\n"
        + "\n"
        + "2026-02-02T00:00:00+01:00,beta,mine,,7,large\n"
    )
    first, second = read_usage_file(content.encode("utf-8-sig"), file=FILE)
    assert (first.customer_id, first.event_id, first.quantities, first.dimensions) == (
        "beta",
        "mine",
        {"images": "7"},
        {"region": "eu", "model": "large"},
    )
    assert first.event_time == parse_instant("2026-02-01T23:00:00Z")
    assert (second.customer_id, second.event_id, second.quantities) == (
        "acme",
        "file-0",
        {"tokens": "2.5"},
    )


def test_a_trace_begins_where_the_entry_stands_and_keeps_its_distances() -> None:
    content = (
        "TIMESTAMP,ContextTokens,GeneratedTokens,Other\n"
        "2023-11-16 18:15:46.5,100,20,x\n"
        "2023-11-16 18:15:47.75,7,0,x\n"
    )
    steps = read_usage_file(content.encode(), file=FILE)
    assert [(step.event_time and format_instant(step.event_time)) for step in steps] == [
        "2026-02-01T00:00:00Z",
        "2026-02-01T00:00:01.25Z",
    ]
    assert steps[0].quantities == {"input_tokens": "100", "output_tokens": "20"}
    assert steps[1].event_id == "file-1"


def test_every_mistake_is_told_with_its_line_and_column() -> None:
    content = (
        HEADER
        + "yesterday,acme,a,1,,\n"
        + "2026-02-01T00:00:00Z,acme,b,-1,,\n"
        + "2026-02-01T00:00:00Z,acme,c,,,\n"
        + "2026-02-01T00:00:00Z,acme\n"
    )
    told = refused(content)
    assert told[0].startswith("usage.csv:2: event_time: ")
    assert told[1].startswith("usage.csv:3: quantities.tokens: '-1' is negative")
    assert told[2] == "usage.csv:4: quantities: the row has no quantity"
    assert told[3] == "usage.csv:5: the row has 2 fields and the header 6"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("quantities.tokens", "event_time: the column is missing"),
        ("event_time", "a column with a quantity is missing"),
        ("event_time,tokens,quantities.a", "column 'tokens' is not known"),
        ("event_time,quantities.a,quantities.a", "quantities.a: it stands twice"),
    ],
)
def test_a_header_that_is_wrong_is_refused_before_its_rows(header: str, said: str) -> None:
    assert any(said in line for line in refused(header + "\nx,y\n"))


def test_a_file_that_names_no_customer_needs_one_of_its_entry() -> None:
    for content in (
        "event_time,quantities.a\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2\n",
    ):
        with pytest.raises(ValidationError, match="customer"):
            read_usage_file(content.encode(), file=replace(FILE, customer_id=None))
    header = "event_time,customer,quantities.a\n2026-02-01T00:00:00Z,,1\n"
    with pytest.raises(ValidationError, match="the row has no customer"):
        read_usage_file(header.encode(), file=replace(FILE, customer_id=None))


def test_what_is_no_text_or_no_csv_is_told() -> None:
    with pytest.raises(ValidationError, match="save the file as UTF-8"):
        read_usage_file(b"event_time,\xff\n", file=FILE)
    assert "mend its quotes" in refused(HEADER + '"open\n')[0]


def test_a_file_has_a_bound_of_rows_and_of_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_MAX", 2)
    row = "2026-02-01T00:00:00Z,acme,,1,,\n"
    assert len(read_usage_file((HEADER + row * 2).encode(), file=FILE)) == 2
    assert "more than 2 events" in refused(HEADER + row * 3)[0]
    trace = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "2023-11-16 18:15:46,1,2\n" * 3
    assert "more than 2 events" in refused(trace)[0]
    monkeypatch.setattr(module, "ROWS_MAX", 100)
    assert len(refused(HEADER + "x,acme,,1,,\n" * 50)) == 20
