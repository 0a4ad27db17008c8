"""Whoever changes what others count on says why, in bounded words."""

import pytest

from billing_server.services.stated_reason import check_reason, check_stated_reason
from metering.errors import ValidationError


def test_a_reason_has_at_most_256_bytes() -> None:
    check_stated_reason("é" * 128)
    with pytest.raises(ValidationError) as refused:
        check_stated_reason("é" * 128 + "!")
    assert refused.value.reason == "REASON_TOO_LONG"


def test_blanks_are_no_reason_where_one_is_needed() -> None:
    check_reason(" ")
    with pytest.raises(ValidationError) as refused:
        check_stated_reason(" ")
    assert refused.value.reason == "REASON_MISSING"
