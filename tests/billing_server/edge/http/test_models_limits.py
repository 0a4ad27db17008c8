"""What callers send about limits."""

import pytest
from pydantic import ValidationError

from billing_server.edge.http.models_limits import LimitRequest, given_limit


def test_only_what_was_sent_is_given_on() -> None:
    request = LimitRequest(meter="tokens", max="0", window="day", thresholds=[])
    assert given_limit(request) == {
        "meter": "tokens",
        "max": "0",
        "window": "day",
        "thresholds": [],
    }


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="maximum"):
        LimitRequest.model_validate({"maximum": "5"})
