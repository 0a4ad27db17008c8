"""Shared ground: the contract, the kernel and the SDK. Knows neither program."""
