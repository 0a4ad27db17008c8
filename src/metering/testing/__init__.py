"""Test doubles for services that meter their usage: shipped for users' own tests."""

from metering.testing.fake_agent import FakeAgent

__all__ = ["FakeAgent"]
