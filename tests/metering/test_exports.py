"""The public names of `metering` are complete, sorted and importable."""

import pytest

import metering


def test_every_exported_name_can_be_imported() -> None:
    assert metering.__all__ == sorted(metering.__all__)
    for name in metering.__all__:
        assert getattr(metering, name).__name__ == name
        assert name in dir(metering)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Metre'"):
        metering.Metre  # noqa: B018 - looking it up is what is tested
