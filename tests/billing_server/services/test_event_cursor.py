"""Cursors of lists of usage events."""

import pytest

from billing_server.services.event_cursor import event_cursor, event_position
from billing_server.services.pages import PageRequest, cursor_from_key
from metering.errors import ValidationError


def test_a_cursor_gives_the_position_back_that_it_was_made_of() -> None:
    cursor = event_cursor((1_770_000_000_000_000, "event-1"))
    assert event_position(PageRequest(cursor=cursor)) == (1_770_000_000_000_000, "event-1")
    assert (event_cursor(None), event_position(PageRequest())) == (None, None)


@pytest.mark.parametrize("key", ["[1]", '["a", "b"]', "{", "7", "null"])
def test_a_cursor_of_another_list_is_refused(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        event_position(PageRequest(cursor=cursor_from_key(key)))
    assert caught.value.reason == "CURSOR_MALFORMED"
