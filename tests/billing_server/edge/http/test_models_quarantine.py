"""Requests about waiting usage say why, and refuse what they do not know."""

import pytest
from pydantic import ValidationError

from billing_server.edge.http.models_quarantine import DiscardConflictsRequest, DiscardRequest


@pytest.mark.parametrize("model", [DiscardRequest, DiscardConflictsRequest])
def test_discarding_needs_a_reason(model: type[DiscardRequest]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({"event_ids": ["e1"]})


def test_a_misspelt_selection_is_refused_instead_of_meaning_everything() -> None:
    with pytest.raises(ValidationError):
        DiscardRequest.model_validate({"customer": "a", "wating_reason": "X", "reason": "why"})
