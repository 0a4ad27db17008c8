"""Many payloads are read at once, and say what protobuf says one by one."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.serialize import canonical_json
from billing_server.services.stored_payloads import PayloadReader
from metering.api.v1 import usage_pb2

TEXT = st.text(max_size=200)
EVENTS = st.builds(
    usage_pb2.UsageEvent,
    event_id=TEXT,
    customer_id=TEXT,
    quantities=st.dictionaries(TEXT, TEXT, max_size=4),
    dimensions=st.dictionaries(TEXT, TEXT, max_size=4),
)


@given(st.lists(EVENTS, max_size=6))
def test_payloads_read_together_say_what_each_says_alone(
    events: list[usage_pb2.UsageEvent],
) -> None:
    reader = PayloadReader()
    for _ in range(2):  # The second time from what is remembered.
        read = list(reader.read([event.SerializeToString() for event in events]))
        assert [{name: str(value) for name, value in quantities} for quantities, _ in read] == [
            dict(event.quantities) for event in events
        ]
        for event, (_, dimensions) in zip(events, read, strict=True):
            assert dimensions.values == dict(event.dimensions)
            assert dimensions.json == canonical_json(dict(event.dimensions))


def test_equal_dimensions_have_one_number_in_whatever_order_they_came() -> None:
    first = b"*\x06\n\x01a\x12\x011" + b"*\x06\n\x01b\x12\x012"
    second = b"*\x06\n\x01b\x12\x012" + b"*\x06\n\x01a\x12\x011"
    other = b"*\x06\n\x01a\x12\x012"
    numbers = [found.number for _, found in PayloadReader().read([first, second, other])]
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.parametrize(
    "payload",
    [
        # A length of two bytes, whose second looks like the next tag.
        usage_pb2.UsageEvent(event_id="x" * 4352, quantities={"a": "1"}).SerializeToString(),
        usage_pb2.UsageEvent(customer_id='"' * 200, quantities={"a": "1"}).SerializeToString(),
        b'"\x06\n\x01a\x12\x011' + b"*\x06\n\x01d\x12\x011" + b'"\x06\n\x01b\x12\x012',
        b'"\x06\n\x01a\x12\x011' + b"\n\x01x",  # Fields in another order.
        b"\x52\x01z" + b'"\x06\n\x01a\x12\x011',  # A field that only newer agents know.
        b'"\x06\n\x01a\x12\x011' + b"\x52\x01z",
        b'"\x06\n\x01a\x12\x01\x30' + b'"\x08\n\x01b\x12\x0312x',
    ],
)
def test_a_payload_of_an_unusual_form_is_read_as_protobuf_reads_it(payload: bytes) -> None:
    event = usage_pb2.UsageEvent.FromString(payload)
    ((quantities, dimensions),) = PayloadReader().read([payload])
    assert {name: str(value) for name, value in quantities} == dict(event.quantities)
    assert dimensions.values == dict(event.dimensions)


def test_of_a_quantity_that_stands_twice_the_last_one_counts() -> None:
    twice = b'"\x06\n\x01a\x12\x011' + b'"\x06\n\x01a\x12\x012'
    ((quantities, _),) = PayloadReader().read([twice])
    assert quantities == [("a", 2)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("42", 42),
        ("9" * 18, 10**18 - 1),
        ("007", "007"),
        ("00", "00"),
        ("1.5", "1.5"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("9" * 19, "9" * 19),
    ],
)
def test_only_a_number_that_its_integer_gives_back_is_read_as_one(
    text: str, value: int | str
) -> None:
    payload = usage_pb2.UsageEvent(quantities={"a": text}).SerializeToString()
    ((quantities, _),) = PayloadReader().read([payload])
    assert quantities == [("a", value)]


@pytest.mark.parametrize(
    ("raw", "entry"),
    [
        (b"", ("", "")),
        (b"\n", None),
        (b"\n\x01a", ("a", "")),
        (b"\x12\x011", ("", 1)),
        (b"\x12\x011\n\x01a", ("a", 1)),
        (b"\n\x01a\x12\x011\x12\x012", ("a", 2)),
        (b"\n\x7fa", None),
    ],
)
def test_an_entry_of_an_unusual_form_is_read_as_protobuf_reads_it(
    raw: bytes, entry: tuple[str, int | str] | None
) -> None:
    payload = b'"' + bytes([len(raw)]) + raw
    if entry is None:
        with pytest.raises(DecodeError):
            list(PayloadReader().read([payload]))
        return
    ((quantities, _),) = PayloadReader().read([payload])
    assert quantities == [entry]
