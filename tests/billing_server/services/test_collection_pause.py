"""The collector of cycles is paused, and goes on as it was."""

import gc

import pytest

from billing_server.services.collection_pause import collection_paused


def test_the_collector_goes_on_as_it_was_whatever_happens() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="why"), collection_paused():  # noqa: PT012 - its state in it
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
        raise ValueError("why")
    assert gc.isenabled()
