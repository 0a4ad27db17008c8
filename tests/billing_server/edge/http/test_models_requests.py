"""Requests refuse what they do not know, and numbers where text belongs."""

import pytest
from pydantic import ValidationError

from billing_server.edge.http.models_requests import (
    AdvanceClockRequest,
    CreateCustomerRequest,
    given_fields,
)
from billing_server.edge.http.models_usage import AdjustUsageRequest


def test_fields_that_are_not_given_stay_unset() -> None:
    request = CreateCustomerRequest(id="acme", name="Acme")
    assert given_fields(request) == {"id": "acme", "name": "Acme", "timezone": "UTC"}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"customer": "a\0b"}, "customer"),
        ({"reason": "\ud800"}, "reason"),
        ({"dimensions": {"model": "\0"}}, "dimensions"),
        ({"dimensions": {"\0": "large"}}, "dimensions"),
    ],
)
def test_text_that_no_database_keeps_is_refused_by_its_field(
    fields: dict[str, object], where: str
) -> None:
    body = {"customer": "acme", "meter": "tokens", "quantity": "1", "reason": "why"}
    with pytest.raises(ValidationError) as caught:
        AdjustUsageRequest.model_validate(body | fields)
    assert [error["loc"] for error in caught.value.errors()] == [(where,)]


@pytest.mark.parametrize("body", [{"to": 5}, {"to": 1.5}, {"to": "x", "more": 1}, {}])
def test_numbers_and_unknown_fields_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AdvanceClockRequest.model_validate(body)
