"""Parameters that lists share."""

import pytest

from billing_server.edge.http.parameters import instant_of, page_request
from metering.clock import parse_instant
from metering.errors import ValidationError


def test_a_page_is_asked_for_by_cursor_and_limit() -> None:
    page = page_request(cursor="YQ", limit=7)
    assert (page.after, page.limit) == ("a", 7)
    assert page_request().cursor is None


def test_an_instant_that_cannot_be_read_names_its_field() -> None:
    text = "2026-03-01T00:00:00Z"
    assert instant_of(text, field="start") == parse_instant(text)
    with pytest.raises(ValidationError, match="start: 'x' is not an instant") as refused:
        instant_of("x", field="start")
    assert [each.field for each in refused.value.violations] == ["start"]
