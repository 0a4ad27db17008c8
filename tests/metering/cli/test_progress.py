"""Progress is drawn on a terminal and nowhere else."""

import io

from rich.console import Console

from metering.cli.progress import replay_progress
from metering.client.stats import MeterStats

STATS = MeterStats(
    recorded=10, accepted=7, rejected=1, dropped=0, buffered=2, retries=3, last_error=""
)


def _drawn(*, is_terminal: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=120)
    with replay_progress("replaying t.csv", row_count=10, console=console) as show:
        show(STATS)
    return output.getvalue()


def test_a_terminal_shows_what_the_agent_answered_for() -> None:
    drawn = _drawn(is_terminal=True)
    assert "replaying t.csv" in drawn
    assert "8/10" in drawn
    assert "1 refused, 3 retries" in drawn


def test_a_pipe_stays_silent() -> None:
    assert _drawn(is_terminal=False) == ""
