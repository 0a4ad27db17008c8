"""The canonical content of events (R13)."""

import json
from collections.abc import Mapping

import pytest

from billing_server.domain.usage.event import EventContent, event_content


def content(
    *,
    time: int | None = None,
    quantities: Mapping[str, str] | None = None,
    dimensions: Mapping[str, str] | None = None,
) -> EventContent:
    return event_content(
        event_time_ns=time,
        quantities={"tokens": "1.5"} if quantities is None else quantities,
        dimensions={"model": "large"} if dimensions is None else dimensions,
    )


@pytest.mark.parametrize("text", ["1.5", "1.50", "01.5", "1.500000000"])
def test_r13_the_same_number_written_otherwise_is_the_same_content(text: str) -> None:
    assert content(quantities={"tokens": text}) == content()


def test_r13_the_order_of_entries_does_not_matter() -> None:
    assert content(quantities={"a": "1", "b": "2"}, dimensions={"x": "1", "y": "2"}) == content(
        quantities={"b": "2", "a": "1"}, dimensions={"y": "2", "x": "1"}
    )


def test_r13_another_value_name_or_time_is_another_content() -> None:
    variants = [
        content(),
        content(quantities={"tokens": "1.51"}),
        content(quantities={"token": "1.5"}),
        content(dimensions={}),
        content(dimensions={"model": "Large"}),
        content(time=0),
        content(time=1),
    ]
    assert len(set(variants)) == len(variants)


def test_r13_an_unset_time_is_not_the_time_that_the_receiver_filled_in() -> None:
    assert content(time=None) != content(time=1_767_225_600_000_000_000)


def test_a_quantity_that_is_no_decimal_is_compared_as_it_was_sent() -> None:
    assert content(quantities={"tokens": "many"}) == content(quantities={"tokens": "many"})
    assert content(quantities={"tokens": "many"}) != content(quantities={"tokens": "more"})


def test_equal_contents_have_equal_json() -> None:
    text = content(quantities={"b": "2.0", "a": "1"}).canonical_json()
    assert json.loads(text) == {
        "event_time_ns": None,
        "quantities": {"a": "1", "b": "2"},
        "dimensions": {"model": "large"},
    }
    assert text == content(quantities={"a": "1", "b": "2"}).canonical_json()
