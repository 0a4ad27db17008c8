"""What passes by, read beside the running agent."""

import threading
from datetime import UTC
from pathlib import Path

import pytest

from meter_agent import tail
from meter_agent.tail import TailReader, follow
from metering.errors import NotFoundError
from tests.meter_agent.support import NOW, NOW_US, Store, event, events, numbered


def test_events_come_in_order_as_they_are_recorded(tmp_path: Path) -> None:
    stopping = threading.Event()
    with Store(tmp_path) as store:
        store.record(numbered(0, 3))
        reader = TailReader(tmp_path)
        assert reader.positions().next_seq == 4

        def record_more() -> None:
            store.record(events("late"))

        passing = follow(reader.reader, first_seq=2, stopping=stopping, wait=record_more)
        found = [next(passing) for _ in range(3)]
        reader.close()
    assert [(position, item.event_id) for position, _, item in found] == [
        (2, "event-1"),
        (3, "event-2"),
        (4, "late"),
    ]
    assert found[0][1] == NOW


def test_a_stop_ends_it(tmp_path: Path) -> None:
    stopping = threading.Event()
    with Store(tmp_path) as store:
        reader = TailReader(tmp_path)
        assert list(follow(reader.reader, first_seq=1, stopping=stopping, wait=stopping.set)) == []
        reader.close()
        assert store.writer.state.positions.next_seq == 1


def test_a_directory_without_a_buffer_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="--data-dir"):
        TailReader(tmp_path)


def test_an_event_is_one_line_or_one_object() -> None:
    shown = event("e-1", customer_id="acme", seconds=NOW_US // 1_000_000)
    assert tail.to_text(7, received=NOW, event=shown) == (
        "2026-03-10T12:00:00Z 7 acme e-1 input_tokens=1200 model=large"
    )
    assert tail.to_json(7, received=NOW.astimezone(UTC), event=shown) == {
        "position": 7,
        "receive_time": "2026-03-10T12:00:00Z",
        "event_id": "e-1",
        "customer_id": "acme",
        "event_time": "2026-03-10T12:00:00Z",
        "quantities": {"input_tokens": "1200"},
        "dimensions": {"model": "large"},
    }
    assert tail.to_json(7, received=NOW, event=event("e-2"))["event_time"] is None


def test_no_control_character_reaches_a_terminal() -> None:
    hostile = event("e", dimensions={"model": "\x1b[2J\nx"})
    assert tail.to_text(1, received=NOW, event=hostile).endswith("model=?[2J?x")
