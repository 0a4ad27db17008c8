"""Each rule of an event, its reason, and that the fast way of a batch gives the same answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_agent.core.validation import EVENT_BYTES_MAX, judge_batch, judge_each, judge_event
from metering.api.v1.usage_pb2 import Debit, Settlement, UsageEvent
from tests.meter_agent.support import NOW_US, event

NOW_SECONDS = NOW_US // 1_000_000
DAY_SECONDS = 86_400


def reason_of(item: UsageEvent) -> str:
    problem = judge_event(item, receive_time_us=NOW_US)
    return "" if problem is None else problem.reason


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (event(""), "EVENT_ID_MALFORMED"),
        (event("x" * 129), "EVENT_ID_MALFORMED"),
        (event("with space"), "EVENT_ID_MALFORMED"),
        (event("line\nend"), "EVENT_ID_MALFORMED"),
        (event("ünicode"), "EVENT_ID_MALFORMED"),
        (event(customer_id=""), "CUSTOMER_ID_MALFORMED"),
        (event(customer_id=" acme"), "CUSTOMER_ID_MALFORMED"),
        (event(customer_id="a\x00b"), "CUSTOMER_ID_MALFORMED"),
        (event(customer_id="é" * 65), "CUSTOMER_ID_MALFORMED"),  # 65 × 2 = 130 bytes > 128
        (event(quantities={}, dimensions={}), "QUANTITIES_MISSING"),
        (event(quantities={"": "1"}), "QUANTITY_NAME_MALFORMED"),
        (event(quantities={"q" * 65: "1"}), "QUANTITY_NAME_MALFORMED"),
        (event(quantities={f"q{n}": "1" for n in range(33)}), "TOO_MANY_QUANTITIES"),
        (event(quantities={"q": ""}), "QUANTITY_MALFORMED"),
        (event(quantities={"q": "1e3"}), "QUANTITY_MALFORMED"),
        (event(quantities={"q": "NaN"}), "QUANTITY_MALFORMED"),
        (event(quantities={"q": "1\n2"}), "QUANTITY_MALFORMED"),
        (event(quantities={"q": "٣"}), "QUANTITY_MALFORMED"),
        (event(quantities={"q": "-1"}), "QUANTITY_NEGATIVE"),
        (event(quantities={"q": "1" * 19}), "QUANTITY_TOO_LARGE"),
        (event(quantities={"q": "0.1234567891"}), "QUANTITY_TOO_PRECISE"),
        (event(dimensions={f"d{n}": "v" for n in range(17)}), "TOO_MANY_DIMENSIONS"),
        (event(dimensions={"": "v"}), "DIMENSION_KEY_MALFORMED"),
        (event(dimensions={"k" * 65: "v"}), "DIMENSION_KEY_MALFORMED"),
        (event(dimensions={"k": "v" * 257}), "DIMENSION_VALUE_MALFORMED"),
        (event(dimensions={"k": "a\x00"}), "DIMENSION_VALUE_MALFORMED"),
        (event(seconds=NOW_SECONDS - 35 * DAY_SECONDS - 1), "EVENT_TIME_TOO_OLD"),
        (event(seconds=0), "EVENT_TIME_TOO_OLD"),
        (event(seconds=NOW_SECONDS + 301), "EVENT_TIME_IN_FUTURE"),
        (event(seconds=NOW_SECONDS, nanos=-1), "EVENT_TIME_MALFORMED"),
        (event(seconds=NOW_SECONDS, nanos=1_000_000_000), "EVENT_TIME_MALFORMED"),
        (event(seconds=10**12), "EVENT_TIME_MALFORMED"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_alone_and_in_a_batch(
    item: UsageEvent, reason: str
) -> None:
    assert reason_of(item) == reason
    verdict = judge_batch([event("before"), item, event("after")], receive_time_us=NOW_US)
    assert [(found.index, found.problem.reason) for found in verdict.rejections] == [(1, reason)]
    assert verdict.rejections[0].event_id == item.event_id


@pytest.mark.parametrize(
    "item",
    [
        event("x" * 128),
        event("!~"),
        event(customer_id="Ärzte GmbH"),
        event(customer_id="é" * 64),  # 64 × 2 = 128 bytes
        event(quantities={"q": "0"}),
        event(quantities={"q": "007.50"}),
        event(quantities={"q": "9" * 18}),
        event(quantities={"q": "123456789012.123456"}),
        event(quantities={f"q{n}": "0.000000001" for n in range(32)}),
        event(dimensions={}),
        event(dimensions={f"d{n}": "" for n in range(16)}),
        event(dimensions={"größe": "mit\nZeile"}),
        event(seconds=NOW_SECONDS - 35 * DAY_SECONDS),
        event(seconds=NOW_SECONDS + 300),
        event(seconds=NOW_SECONDS, nanos=999_999_999),
    ],
)
def test_an_event_at_the_edge_of_what_is_allowed_is_good_alone_and_in_a_batch(
    item: UsageEvent,
) -> None:
    assert judge_event(item, receive_time_us=NOW_US) is None
    assert judge_batch([item, item], receive_time_us=NOW_US).rejections == ()


def test_a_message_names_the_field_and_the_remedy() -> None:
    problem = judge_event(event(quantities={"gpu": "-3"}), receive_time_us=NOW_US)
    assert problem is not None
    assert problem.message.startswith("quantities['gpu']: ")
    long_id = judge_event(event("x" * 5000), receive_time_us=NOW_US)
    assert long_id is not None
    assert len(long_id.message) < 300


@pytest.mark.parametrize(
    "forged",
    [
        UsageEvent(debits=[Debit(lease_id=bytes(16), amount=1)]),
        UsageEvent(settlement=Settlement(reservation_id="r-1")),
        UsageEvent(settlement=Settlement()),
    ],
)
def test_what_only_the_agent_may_set_is_refused_from_a_caller(forged: UsageEvent) -> None:
    item = event()
    item.MergeFrom(forged)
    verdict = judge_batch([event("a"), item], receive_time_us=NOW_US)
    assert [(found.index, found.problem.reason) for found in verdict.rejections] == [
        (1, "FIELD_SET_BY_AGENT_ONLY")
    ]


def test_a_size_above_the_bound_is_refused_where_each_event_is_judged() -> None:
    # Field 100 as a text: two bytes of tag, three of length.
    spare = EVENT_BYTES_MAX - event("a").ByteSize() - 5
    length = bytes([spare & 0x7F | 0x80, spare >> 7 & 0x7F | 0x80, spare >> 14])
    unknown = b"\xa2\x06" + length + b"z" * spare
    full = UsageEvent.FromString(event("a").SerializeToString() + unknown)
    over = UsageEvent.FromString(event("ab").SerializeToString() + unknown)
    assert (full.ByteSize(), over.ByteSize()) == (EVENT_BYTES_MAX, EVENT_BYTES_MAX + 1)
    verdict = judge_each([full, over, event("c")], receive_time_us=NOW_US)
    assert [(item.index, item.problem.reason) for item in verdict.rejections] == [
        (1, "EVENT_TOO_LARGE")
    ]


def test_the_oldest_event_time_is_that_of_the_good_events_and_the_receipt_where_unset() -> None:
    old = event("old", seconds=NOW_SECONDS - 100, nanos=5_000)
    bad = event("bad", seconds=NOW_SECONDS - 200, quantities={}, dimensions={})
    late = event("late", seconds=NOW_SECONDS + 60)
    # 100 s before, plus 5,000 ns = 5 µs.
    assert judge_batch([old, late], receive_time_us=NOW_US).oldest_event_time_us == (
        NOW_US - 100_000_000 + 5
    )
    assert judge_batch([old, bad], receive_time_us=NOW_US).oldest_event_time_us == (
        NOW_US - 100_000_000 + 5
    )
    assert judge_batch([event()], receive_time_us=NOW_US).oldest_event_time_us == NOW_US
    assert judge_batch([late], receive_time_us=NOW_US).oldest_event_time_us == NOW_US


TEXTS = st.one_of(
    st.sampled_from(["a", "", " ", "é", "\n", "x" * 64, "x" * 65, "x" * 129, "a b", "\x7f"]),
    st.text(max_size=6),
)
VALUES = st.one_of(
    st.sampled_from(["1", "0.5", "", "1\n2", "9" * 18, "9" * 19, "1.", ".5", "00", "-0", "1e1"]),
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,11})?", fullmatch=True),
)
TIMES = st.one_of(
    st.none(),
    st.tuples(
        st.integers(NOW_SECONDS - 36 * DAY_SECONDS, NOW_SECONDS + 400),
        st.sampled_from([0, 1, 999_999_999, -1, 10**9]),
    ),
    st.just((0, 0)),
)


@st.composite
def any_event(draw: st.DrawFn) -> UsageEvent:
    time = draw(TIMES)
    return event(
        draw(TEXTS),
        customer_id=draw(TEXTS),
        quantities=draw(st.dictionaries(TEXTS, VALUES, max_size=3)),
        dimensions=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        seconds=None if time is None else time[0],
        nanos=0 if time is None else time[1],
    )


@settings(deadline=None)
@given(st.lists(any_event(), max_size=4))
def test_a_batch_is_judged_as_its_events_are_judged_one_by_one(items: list[UsageEvent]) -> None:
    verdict = judge_batch(items, receive_time_us=NOW_US)
    alone = [judge_event(item, receive_time_us=NOW_US) for item in items]
    assert [(found.index, found.problem) for found in verdict.rejections] == [
        (index, problem) for index, problem in enumerate(alone) if problem is not None
    ]
    times = [
        item.event_time.seconds * 1_000_000 + item.event_time.nanos // 1000
        for item, problem in zip(items, alone, strict=True)
        if problem is None and item.HasField("event_time")
    ]
    assert verdict.oldest_event_time_us == min([*times, NOW_US])


def test_an_event_that_only_has_dimensions_is_good() -> None:
    """A unique count of users needs no quantity."""
    item = event(quantities={}, dimensions={"user": "u1"})
    assert judge_event(item, receive_time_us=NOW_US) is None
    assert judge_batch([item], receive_time_us=NOW_US).rejections == ()
