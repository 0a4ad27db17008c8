"""Events set aside: written with the change of the positions, kept, counted."""

from dataclasses import replace
from pathlib import Path

from meter_agent.core.blocks import Block
from meter_agent.core.positions import Positions
from meter_agent.store.database import open_reader
from meter_agent.store.reader import OutboxReader
from meter_agent.store.refused import refused_from_block
from tests.meter_agent.support import NOW_US, Store, event, ids_of, packed


def test_an_event_is_set_aside_in_the_commit_that_passes_its_position(tmp_path: Path) -> None:
    block = Block(first_seq=7, event_count=1, receive_time_us=NOW_US, events=packed([event("x")]))
    refused = refused_from_block(block, reason="EVENT_ID_MALFORMED", message="no")

    def skip(state: Positions) -> Positions:
        return replace(state, applied_seq=7)

    with Store(tmp_path) as store:
        store.writer.change(skip, refused=refused)
        # The same position again, as after an answer that was lost: it is kept once.
        store.writer.change(skip, refused=replace(refused, message="still no"))
        assert store.writer.state.positions.applied_seq == 7
        reader = OutboxReader(store.path)
        assert reader.refused_count() == 1
        reader.close()
    connection = open_reader(tmp_path / "agent.db")
    [row] = connection.execute("SELECT * FROM refused_block").fetchall()
    connection.close()
    assert row[:4] == (7, NOW_US, "EVENT_ID_MALFORMED", "still no")
    assert ids_of(row[4]) == ["x"]
