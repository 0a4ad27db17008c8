"""What long tests counted, for the end of the run: also where several processes share it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import pytest

TellCounts: TypeAlias = Callable[[str, Mapping[str, int]], None]
"""Takes a title, and figures by what they count; those of one title are summed."""
COUNTS_PROPERTY: Final = "counts"


def summed_counts(reports: Iterable[pytest.TestReport]) -> dict[str, Counter[str]]:
    """Returns the figures of reports by title.

    Args:
        reports: Of tests; their properties have come from the processes in which they ran.
    """
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for name, value in report.user_properties:
            if name == COUNTS_PROPERTY:
                title, counts = value
                sums[title].update(counts)
    return dict(sums)
