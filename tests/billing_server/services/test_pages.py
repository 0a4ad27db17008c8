"""Pages are bounded and walk a list without gap or overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.services.pages import PAGE_LIMIT_MAX, PageRequest, page_from
from metering.errors import ValidationError

# As ids and names are: the readers of the domain refuse what cannot be printed.
PRINTABLE = st.characters(exclude_categories=("C", "Z"))


@given(
    keys=st.sets(st.text(PRINTABLE, min_size=1, max_size=8), max_size=40),
    limit=st.integers(min_value=1, max_value=7),
)
def test_walking_the_pages_finds_every_entry_once(keys: set[str], limit: int) -> None:
    ordered = sorted(keys)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        request = PageRequest(cursor=cursor, limit=limit)
        after = request.after
        rest = [key for key in ordered if after is None or key > after]
        page = page_from(rest[: limit + 1], request=request, key=str)
        assert len(page.entries) <= limit
        seen += page.entries
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ordered


@pytest.mark.parametrize("limit", [0, -1, PAGE_LIMIT_MAX + 1])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(ValidationError) as refused:
        PageRequest(limit=limit)
    assert refused.value.reason == "LIMIT_OUT_OF_RANGE"


@pytest.mark.parametrize("cursor", ["ü", "A", "_w", "", "AA"])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _ = PageRequest(cursor=cursor).after
    assert refused.value.reason == "CURSOR_MALFORMED"


def test_a_page_shows_its_entries_in_another_form() -> None:
    page = page_from([1, 2], request=PageRequest(limit=1), key=str).map(str)
    assert page.entries == ("1",)
    assert page.next_cursor is not None
