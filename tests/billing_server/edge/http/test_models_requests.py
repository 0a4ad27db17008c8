"""Requests refuse what they do not know, and numbers where text belongs."""

import pytest
from pydantic import ValidationError

from billing_server.edge.http.models_requests import (
    AdvanceClockRequest,
    CreateCustomerRequest,
    given_fields,
)


def test_fields_that_are_not_given_stay_unset() -> None:
    request = CreateCustomerRequest(id="acme", name="Acme")
    assert given_fields(request) == {"id": "acme", "name": "Acme", "timezone": "UTC"}


@pytest.mark.parametrize("body", [{"to": 5}, {"to": 1.5}, {"to": "x", "more": 1}, {}])
def test_numbers_and_unknown_fields_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AdvanceClockRequest.model_validate(body)
