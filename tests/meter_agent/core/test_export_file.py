"""The file of an export: whole, or refused at the byte where it is not."""

import io

import pytest

from meter_agent.core import export_file
from meter_agent.core.export_file import (
    FRAME_MARK,
    ExportFooter,
    ExportHeader,
    ExportReader,
    block_frame,
    first_line,
    footer_frame,
    header_frame,
)
from metering.api.v1.ingest_pb2 import UsageBlock
from metering.errors import ValidationError
from tests.meter_agent.support import NOW_US, event, events, ids_of, packed

HEADER = ExportHeader("agent-1", "ab", "2026-03-10T12:00:00Z", "0.1.0")


def block(*names: str, event_count: int | None = None, raw: bytes | None = None) -> bytes:
    made = UsageBlock(
        first_seq=1,
        event_count=len(names) if event_count is None else event_count,
        events=packed(events(*names)) if raw is None else raw,
    )
    made.receive_time.FromMicroseconds(NOW_US)
    return block_frame(made)


PARTS = [
    first_line(),
    header_frame(HEADER),
    block("a", "b"),
    block("c"),
    footer_frame(ExportFooter(block_count=2, event_count=3)),
]
WHOLE = b"".join(PARTS)
OFFSETS = [sum(len(part) for part in PARTS[:index]) for index in range(len(PARTS))]


def read(raw: bytes) -> list[str]:
    reader = ExportReader(io.BytesIO(raw), name="x.usage")
    return [name for item in reader.blocks() for name in ids_of(item.events)]


def salvage(raw: bytes) -> tuple[list[str], int]:
    reader = ExportReader(io.BytesIO(raw), name="x.usage")
    found = [name for item in reader.salvage() for name in ids_of(item.events)]
    return found, reader.unreadable_bytes


def refusal(raw: bytes) -> ValidationError:
    with pytest.raises(ValidationError, match=r"x\.usage") as caught:
        read(raw)
    return caught.value


def test_a_file_holds_its_origin_and_its_blocks_in_order() -> None:
    assert WHOLE.startswith(b"METER-AGENT-EXPORT 1\n")
    reader = ExportReader(io.BytesIO(WHOLE), name="x.usage")
    first, second = reader.blocks()
    assert reader.header == HEADER
    assert (first.offset, first.event_count, first.receive_time_us) == (OFFSETS[2], 2, NOW_US)
    assert ids_of(first.events) == ["a", "b"]
    assert ids_of(second.events) == ["c"]


def test_the_oldest_event_time_is_that_of_the_events() -> None:
    early = NOW_US // 1_000_000 - 60
    made = UsageBlock(
        first_seq=1, event_count=2, events=packed([event("a"), event("b", seconds=early)])
    )
    made.receive_time.FromMicroseconds(NOW_US)
    footer = footer_frame(ExportFooter(1, 2))
    [item] = ExportReader(io.BytesIO(first_line() + block_frame(made) + footer), name="x").blocks()
    assert item.oldest_event_time_us == NOW_US - 60_000_000


def test_a_file_cut_anywhere_is_refused_and_names_the_part_that_is_not_whole() -> None:
    for length in range(len(WHOLE)):
        error = refusal(WHOLE[:length])
        if length < OFFSETS[1]:
            assert error.reason in ("EXPORT_FILE_UNKNOWN", "EXPORT_FILE_TRUNCATED")
            continue
        begun = max(offset for offset in OFFSETS if offset <= length)
        assert error.reason == "EXPORT_FILE_TRUNCATED"
        assert f"byte {begun} " in error.message
        assert "--salvage" in error.message


def test_a_byte_flipped_anywhere_is_refused() -> None:
    for place in range(len(WHOLE)):
        raw = bytearray(WHOLE)
        raw[place] ^= 0x41
        assert refusal(bytes(raw)).reason.startswith("EXPORT_FILE_")


def test_a_flipped_byte_names_the_offset_of_its_frame() -> None:
    raw = bytearray(WHOLE)
    raw[OFFSETS[3] + 20] ^= 1
    error = refusal(bytes(raw))
    assert error.reason == "EXPORT_FILE_DAMAGED"
    assert error.metadata == {"offset": str(OFFSETS[3])}
    assert salvage(bytes(raw)) == (["a", "b"], len(PARTS[3]))


def test_salvage_takes_what_lies_around_the_damage() -> None:
    assert salvage(WHOLE) == (["a", "b", "c"], 0)
    # Rubbish with a false mark between two frames, and no beginning.
    rubbish = b"xx" + FRAME_MARK + b"yy"
    raw = PARTS[2] + rubbish + PARTS[3][:-1] + PARTS[3]
    found, unreadable = salvage(raw)
    assert found == ["a", "b", "c"]
    assert unreadable == len(rubbish) + len(PARTS[3]) - 1
    assert salvage(b"no export at all") == ([], 16)
    assert salvage(b"") == ([], 0)


def test_a_mark_across_two_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (5, 6, 7, 8):
        monkeypatch.setattr(export_file, "_SCAN_BYTES", size)
        found, _ = salvage(b"z" * 30 + PARTS[2])
        assert found == ["a", "b"]


def test_other_files_and_later_versions_are_refused() -> None:
    assert refusal(b"PK\x03\x04 something else").reason == "EXPORT_FILE_UNKNOWN"
    later = b"METER-AGENT-EXPORT 2\n" + WHOLE[OFFSETS[1] :]
    assert refusal(later).reason == "EXPORT_FILE_NEWER"
    with pytest.raises(ValidationError, match="newer"):
        salvage(later)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (block("a", event_count=2), "not as many events"),
        (block(raw=b"", event_count=0), "not as many events"),
        (block(raw=b"\xff", event_count=1), "Error parsing"),
        (block("", "b"), "no agent accepts this event"),
        (PARTS[4].replace(b"block", b"blocc"), "checksum"),
    ],
)
def test_a_frame_that_is_whole_and_wrong_is_refused(content: bytes, why: str) -> None:
    error = refusal(first_line() + content + footer_frame(ExportFooter(1, 1)))
    assert error.reason == "EXPORT_FILE_DAMAGED"
    assert why in error.message
    assert f"byte {OFFSETS[1]}:" in error.message


def test_nothing_may_follow_the_last_frame() -> None:
    assert "behind the last frame" in refusal(WHOLE + PARTS[2]).message


def test_a_file_that_misses_a_whole_block_is_refused() -> None:
    error = refusal(PARTS[0] + PARTS[1] + PARTS[3] + PARTS[4])
    assert "should hold 3 events and holds 1" in error.message
