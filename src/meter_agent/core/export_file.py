r"""The file of `meter-agent export`: what it looks like, byte by byte.

    METER-AGENT-EXPORT 1\n
    frame "H": JSON, where the events come from
    frame "B": a serialized `UsageBlock`, again and again, in the order of their positions
    frame "F": JSON, how many blocks and events there must be

A frame is `MTRF`, one letter, the length of its content and its CRC-32 (each four bytes, most
significant first; the checksum covers letter, length and content), then the content. A file without
its last frame is truncated.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final

from google.protobuf.message import DecodeError

from meter_agent.core.validation import judge_batch
from metering.api.v1.ingest_pb2 import UsageBlock, UsageEvents
from metering.errors import ValidationError

MAGIC: Final = b"METER-AGENT-EXPORT "
VERSION: Final = 1
FRAME_MARK: Final = b"MTRF"
CONTENT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Longer content is a sign of damage: a block holds one request, 4 MiB at most."""

_HEAD: Final = struct.Struct(">4scII")
_SCAN_BYTES: Final = 1024 * 1024
_LINE_BYTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """Where the events of a file come from."""

    agent_id: str
    """As the server enrolled it; empty before its first session."""
    disk_id: str
    """Identity of the disk, hexadecimal."""
    export_time: str
    """When the file was made, RFC 3339."""
    agent_version: str
    """Of the program that made it."""


@dataclass(frozen=True, slots=True)
class ExportFooter:
    """What a whole file holds."""

    block_count: int
    """Blocks, >= 0."""
    event_count: int
    """Events, >= 0."""
    lost_event_count: int = 0
    """Events that could not be read when the file was made, as far as the positions tell, >= 0."""


@dataclass(frozen=True, slots=True)
class ExportedBlock:
    """One block of a file, checked."""

    offset: int
    """Where its frame begins, bytes from the start of the file."""
    event_count: int
    """Number of events, >= 1."""
    receive_time_us: int
    """When they were received, microseconds since 1970 UTC."""
    oldest_event_time_us: int
    """Oldest event time among them, microseconds since 1970 UTC."""
    events: bytes
    """A serialized `UsageEvents`."""


def first_line() -> bytes:
    """Returns what a file begins with."""
    return MAGIC + b"%d\n" % VERSION


def header_frame(header: ExportHeader) -> bytes:
    """Returns the header as it lies in the file."""
    return _frame(b"H", json.dumps(asdict(header)).encode())


def block_frame(block: UsageBlock) -> bytes:
    """Returns a block as it lies in the file."""
    return _frame(b"B", block.SerializeToString())


def footer_frame(footer: ExportFooter) -> bytes:
    """Returns the last frame of a file."""
    return _frame(b"F", json.dumps(asdict(footer)).encode())


class ExportReader:
    """Reads a file once, block by block, and checks it on the way.

    Args:
        file: At its beginning; must be seekable.
        name: For messages.
    """

    def __init__(self, file: BinaryIO, *, name: str) -> None:
        self._file = file
        self._name = name
        self.header = ExportHeader("", "", "", "")
        """Known once the first block, or the end, was met."""
        self.unreadable_bytes = 0
        """Bytes that were skipped, >= 0; only ever more than 0 when salvaging."""

    def blocks(self) -> Iterator[ExportedBlock]:
        """Yields the blocks of a whole file.

        Raises:
            ValidationError: EXPORT_FILE_UNKNOWN, EXPORT_FILE_NEWER, EXPORT_FILE_TRUNCATED or
                EXPORT_FILE_DAMAGED; the message names the offset.
        """
        self._read_first_line()
        footer: ExportFooter | None = None
        block_count = event_count = 0
        offset = self._file.tell()
        while (found := self._read_frame(offset)) is not None:
            kind, content, end = found
            if footer is not None:
                raise self._damaged(offset, "there is something behind the last frame")
            if kind == b"F":
                footer = self._footer(content, offset)
            elif kind == b"H":
                self._take_header(content, offset)
            else:
                block = self._block(content, offset)
                block_count += 1
                event_count += block.event_count
                yield block
            offset = end
        if footer is None:
            raise self._truncated(offset)
        if (footer.block_count, footer.event_count) != (block_count, event_count):
            raise self._damaged(
                offset,
                f"it should hold {footer.event_count} events and holds {event_count}",
            )

    def salvage(self) -> Iterator[ExportedBlock]:
        """Yields the blocks that can be read, and skips the rest; it never fails on the content.

        Raises:
            ValidationError: EXPORT_FILE_NEWER: a later version may mean something else.
        """
        try:
            self._read_first_line()
        except ValidationError as error:
            if error.reason == "EXPORT_FILE_NEWER":
                raise
            self._file.seek(0)
        offset = self._file.tell()
        while offset >= 0:
            try:
                found = self._read_frame(offset)
                if found is None:
                    return
                kind, content, end = found
                if kind == b"B":
                    yield self._block(content, offset)
                elif kind == b"H":
                    self._take_header(content, offset)
                offset = end
            except ValidationError:
                following = self._find_mark(offset + 1)
                self.unreadable_bytes += (following if following >= 0 else self._size()) - offset
                offset = following

    def _read_first_line(self) -> None:
        line = self._file.readline(_LINE_BYTES_MAX)
        version = line.removeprefix(MAGIC).strip()
        if not line.startswith(MAGIC) or not version.isdigit():
            raise ValidationError(
                reason="EXPORT_FILE_UNKNOWN",
                message=f"{self._name} was not made by `meter-agent export` (at byte 0); give the "
                "file that export wrote",
            )
        if int(version) > VERSION:
            raise ValidationError(
                reason="EXPORT_FILE_NEWER",
                message=f"{self._name} is of version {int(version)}, this program reads up to "
                f"{VERSION}; import it with a newer meter-agent",
            )

    def _read_frame(self, offset: int) -> tuple[bytes, bytes, int] | None:
        """Returns kind and content of the frame at an offset and where it ends; None at the end."""
        self._file.seek(offset)
        head = self._file.read(_HEAD.size)
        if not head:
            return None
        if len(head) < _HEAD.size:
            raise self._truncated(offset)
        mark, kind, size, crc32 = _HEAD.unpack(head)
        if mark != FRAME_MARK or size > CONTENT_BYTES_MAX or kind not in (b"H", b"B", b"F"):
            raise self._damaged(offset, "no frame begins here")
        content = self._file.read(size)
        if len(content) < size:
            raise self._truncated(offset)
        if _checksum(kind, content) != crc32:
            raise self._damaged(offset, "the frame fails its checksum")
        return kind, content, offset + _HEAD.size + size

    def _take_header(self, content: bytes, offset: int) -> None:
        self.header = ExportHeader(**self._fields(content, offset, ExportHeader))

    def _footer(self, content: bytes, offset: int) -> ExportFooter:
        return ExportFooter(**self._fields(content, offset, ExportFooter))

    def _fields(self, content: bytes, offset: int, kind: type) -> dict[str, Any]:
        try:
            found = json.loads(content)
            kind(**found)
        except (ValueError, TypeError) as error:
            raise self._damaged(offset, str(error)) from error
        return dict(found)

    def _block(self, content: bytes, offset: int) -> ExportedBlock:
        try:
            block = UsageBlock.FromString(content)
            events = UsageEvents.FromString(block.events).events
        except DecodeError as error:
            raise self._damaged(offset, str(error)) from error
        if not events or len(events) != block.event_count:
            raise self._damaged(offset, "the block has not as many events as it says")
        receive_time_us = block.receive_time.seconds * 1_000_000 + block.receive_time.nanos // 1_000
        verdict = judge_batch(events, receive_time_us=receive_time_us)
        if verdict.rejections:
            problem = verdict.rejections[0].problem
            raise self._damaged(offset, f"no agent accepts this event: {problem.message}")
        return ExportedBlock(
            offset=offset,
            event_count=block.event_count,
            receive_time_us=receive_time_us,
            oldest_event_time_us=verdict.oldest_event_time_us,
            events=block.events,
        )

    def _find_mark(self, offset: int) -> int:
        """Returns where the next frame may begin; -1 where none does."""
        overlap = len(FRAME_MARK) - 1
        while True:
            self._file.seek(offset)
            chunk = self._file.read(_SCAN_BYTES)
            found = chunk.find(FRAME_MARK)
            if found >= 0:
                return offset + found
            if len(chunk) <= overlap:
                return -1
            offset += len(chunk) - overlap

    def _size(self) -> int:
        return self._file.seek(0, 2)

    def _truncated(self, offset: int) -> ValidationError:
        return ValidationError(
            reason="EXPORT_FILE_TRUNCATED",
            message=f"{self._name} ends too early: what begins at byte {offset} is not whole; "
            "nothing was imported; copy it again, or take what is readable with --salvage",
            metadata={"offset": str(offset)},
        )

    def _damaged(self, offset: int, why: str) -> ValidationError:
        return ValidationError(
            reason="EXPORT_FILE_DAMAGED",
            message=f"{self._name} is damaged at byte {offset}: {why}; nothing was imported; copy "
            "it again, or take what is readable with --salvage",
            metadata={"offset": str(offset)},
        )


def _frame(kind: bytes, content: bytes) -> bytes:
    return _HEAD.pack(FRAME_MARK, kind, len(content), _checksum(kind, content)) + content


def _checksum(kind: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(kind + len(content).to_bytes(4, "big")))
