"""Requests about single events refuse what they do not know, and numbers where text belongs."""

import pytest
from pydantic import ValidationError

from billing_server.edge.http.models_usage import AdjustUsageRequest, AmendUsageRequest


def test_quantities_are_decimal_strings() -> None:
    request = AmendUsageRequest(event_id="e", quantities={"tokens": "1.5"})
    assert request.quantities == {"tokens": "1.5"}
    with pytest.raises(ValidationError):
        AmendUsageRequest.model_validate({"event_id": "e", "quantities": {"tokens": 1.5}})


def test_an_adjustment_needs_a_reason() -> None:
    with pytest.raises(ValidationError):
        AdjustUsageRequest.model_validate({"customer": "a", "meter": "m", "quantity": "1"})
