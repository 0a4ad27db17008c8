"""The rules of metering and billing, pure: no clock, no randomness, no storage, no network."""
