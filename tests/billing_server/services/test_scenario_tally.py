"""Usage of a scenario in words."""

from datetime import datetime, timedelta

from billing_server.services.scenario_steps import UsageStep
from billing_server.services.scenario_tally import UsageTally
from metering.clock import parse_instant

AT = parse_instant("2026-02-03T00:00:00Z")


def step(
    tokens: str, *, event_time: datetime | None = None, dimensions: dict[str, str] | None = None
) -> UsageStep:
    return UsageStep("acme", "e", {"tokens": tokens}, dimensions or {}, event_time, None, None)


def test_usage_of_one_kind_is_told_together_and_late_usage_apart() -> None:
    tally = UsageTally()
    tally.add(step("1.5"), at=AT, repeat=0)
    tally.add(step("2"), at=AT + timedelta(hours=1), repeat=0)
    tally.add(step("7", dimensions={"model": "large"}), at=AT, repeat=0)
    tally.add(step("9", event_time=AT - timedelta(days=2)), at=AT, repeat=0)
    told = [
        (event.kind, event.details["used"], event.details["event_count"]) for event in tally.take()
    ]
    assert told == [
        ("usage.received", "3.5 tokens", "2"),
        ("usage.received", "7 tokens (model=large)", "1"),
        ("usage.late", "9 tokens", "1"),
    ]
    assert list(tally.take()) == []


def test_the_times_are_those_of_the_usage() -> None:
    tally = UsageTally()
    every = timedelta(hours=1)
    repeated = UsageStep("acme", "e", {"tokens": "1"}, {}, AT, every, AT + 3 * every)
    for repeat in range(3):
        tally.add(repeated, at=AT + repeat * every, repeat=repeat)
    (event,) = tally.take()
    assert (event.time, event.kind) == (AT, "usage.received")
    assert (event.details["first"], event.details["last"]) == (
        "2026-02-03T00:00:00Z",
        "2026-02-03T02:00:00Z",
    )
