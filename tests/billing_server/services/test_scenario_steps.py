"""What the entries of a timeline do."""

from billing_server.services.scenario_steps import UsageRowsStep, UsageStep
from metering.clock import parse_instant


def test_a_file_of_usage_ends_with_its_last_row() -> None:
    times = [parse_instant(f"2026-02-0{day}T00:00:00Z") for day in (1, 2)]
    rows = tuple(UsageStep("acme", str(at), {"t": "1"}, {}, at, None, None) for at in times)
    assert UsageRowsStep(rows).last_time == times[1]
    assert UsageRowsStep(()).last_time is None
