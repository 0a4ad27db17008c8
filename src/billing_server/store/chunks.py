"""Long lists of keys in statements of a bounded length."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

KEYS_AT_ONCE = 500
"""Keys of one statement: far below what either database takes as parameters."""

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yields the values in runs of at most `KEYS_AT_ONCE`."""
    for start in range(0, len(values), KEYS_AT_ONCE):
        yield values[start : start + KEYS_AT_ONCE]
