"""Liveness and readiness: a full disk is not ready, and never not live."""

from dataclasses import replace
from typing import Any

import pytest

from meter_agent.admin.health import HealthInput, why_not_live, why_not_ready

WELL = HealthInput(
    is_stopping=False,
    is_writer_alive=True,
    is_shipper_alive=True,
    is_sampled=True,
    sample_age_seconds=0.5,
    commit_running_seconds=0.0,
    failure_age_seconds=None,
    failure="",
    disk_free_bytes=1 << 30,
    kept_bytes=0,
    refuse_bytes=1 << 20,
)


def test_an_agent_that_is_well_is_live_and_ready() -> None:
    assert (why_not_live(WELL), why_not_ready(WELL)) == ("", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"disk_free_bytes": 1_000}, "the disk is full: 1000 bytes are free"),
        ({"kept_bytes": 1 << 20}, "the buffer is full"),
        ({"sample_age_seconds": 11.0}, "the disk has not answered for 11 s"),
        ({"commit_running_seconds": 12.0}, "the disk has not answered for 12 s"),
        ({"failure_age_seconds": 3.0, "failure": "no room"}, "the last commit failed: no room"),
        ({"is_sampled": False, "disk_free_bytes": 0}, "the agent is starting"),
        ({"is_stopping": True}, "the agent is stopping"),
    ],
)
def test_trouble_with_the_disk_makes_it_not_ready_and_never_not_live(
    change: dict[str, Any], words: str
) -> None:
    found = replace(WELL, **change)
    assert words in why_not_ready(found)
    assert why_not_live(found) == ""


@pytest.mark.parametrize("part", ["is_writer_alive", "is_shipper_alive"])
def test_a_thread_that_has_ended_needs_a_restart(part: str) -> None:
    found = replace(WELL, **{part: False})
    assert "has ended" in why_not_live(found)
    assert "has ended" in why_not_ready(found)
    # At a stop the threads end one after the other: that is no reason to kill the process.
    assert why_not_live(replace(found, is_stopping=True)) == ""


def test_a_failure_that_is_long_past_does_not_keep_callers_away() -> None:
    # Nobody calls an agent that is not ready, so no commit would ever prove that it is well again.
    assert why_not_ready(replace(WELL, failure_age_seconds=10.0, failure="no room")) == ""
