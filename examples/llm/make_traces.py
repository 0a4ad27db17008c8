"""Makes the sample traces beside it, the same bytes at every run.

The shape follows what production language-model traffic looks like: arrivals in bursts, prompts
with a long tail, answers shorter than prompts. The numbers are drawn here, not taken from anyone.

Example:
    python examples/llm/make_traces.py
"""

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
START = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
TRACES = {  # file: (rows, median prompt tokens, median answer tokens, seed)
    "trace-large.csv": (6000, 900, 180, 11),
    "trace-small.csv": (3000, 300, 60, 12),
}
DURATION_SECONDS = 3600


def rows(
    count: int, *, prompt_median: int, answer_median: int, seed: int
) -> list[tuple[datetime, int, int]]:
    """Draws `count` requests within the hour, in order of time."""
    draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
    offsets = sorted(
        DURATION_SECONDS * (draw.random() * 0.7 + 0.3 * (0.5 + 0.5 * math.sin(7 * draw.random())))
        for _ in range(count)
    )
    return [
        (
            START + timedelta(microseconds=int(offset * 1_000_000)),
            min(32_000, max(1, int(draw.lognormvariate(math.log(prompt_median), 1.0)))),
            min(4_000, max(1, int(draw.lognormvariate(math.log(answer_median), 0.8)))),
        )
        for offset in offsets
    ]


def main() -> None:
    """Writes the files."""
    for name, (count, prompt_median, answer_median, seed) in TRACES.items():
        drawn = rows(count, prompt_median=prompt_median, answer_median=answer_median, seed=seed)
        lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
        lines += [
            f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond:06d}0,{prompt},{answer}"
            for when, prompt, answer in drawn
        ]
        (HERE / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
