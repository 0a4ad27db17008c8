"""Parameters that lists share."""

from billing_server.edge.http.parameters import page_request


def test_a_page_is_asked_for_by_cursor_and_limit() -> None:
    page = page_request(cursor="YQ", limit=7)
    assert (page.after, page.limit) == ("a", 7)
    assert page_request().cursor is None
