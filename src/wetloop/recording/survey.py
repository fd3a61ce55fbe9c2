"""Reads a journal, whole or damaged: which frames can be trusted, what they hold, and where something is missing.

Between the start and the last ``SYNCED`` frame everything was on the disk, so what is unreadable there was damaged
later: it is skipped, and the rest is used. After it comes what was still on its way to the disk: the first unreadable
frame ends the journal, since what follows may lack what it builds upon.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.journal import (
    CHECKED_FROM,
    CHUNK,
    CHUNKS,
    FRAME,
    LOST,
    MARK,
    OPENING,
    ROWS,
    SAMPLE,
    SAMPLES,
    SUMMARY,
    SYNCED,
    Lost,
    Opening,
    rows_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wetloop.core.types import Records


class Frame(NamedTuple):
    """One good frame: where it stands in the file, and what it holds."""

    start: int
    stop: int
    kind: int
    table: int
    number: int
    payload: bytes


class Gap(NamedTuple):
    """Bytes that are no frame, and the samples between which something is missing; ``to_sample`` None: open end."""

    start: int
    stop: int
    from_sample: int
    to_sample: int | None


@dataclass
class Survey:
    """What a journal holds.

    Attributes
    ----------
    path, size
        The file and its size, bytes.
    opening
        None where both copies are damaged.
    n_rows
        Records of each table, by its path.
    sample_bytes
        Bytes of raw samples, in frames of their own or as chunks of the recording.
    chunk_bytes
        Bytes of those chunks as they are stored.
    lost
        What could not be read of the recording that this was salvaged from.
    summary
        Last words of the session as JSON; empty where they are missing.
    acknowledged_sample
        Up to here everything was on the disk, whatever happened later.
    gaps
        What is unreadable before ``usable``.
    usable
        Where the usable part of the file ends, bytes.
    """

    path: Path
    size: int = 0
    opening: Opening | None = None
    n_rows: dict[str, int] = field(default_factory=dict)
    sample_bytes: int = 0
    chunk_bytes: int = 0
    lost: list[Lost] = field(default_factory=list)
    summary: str = ""
    acknowledged_sample: int = 0
    gaps: list[Gap] = field(default_factory=list)
    usable: int = 0

    def frames(self) -> Iterator[Frame]:
        """Yield the usable frames."""
        for found in scan(self.path):
            if found.start >= self.usable:
                return
            if isinstance(found, Frame):
                yield found


def scan(path: Path) -> Iterator[Frame | Gap]:
    """Yield every good frame of a file, and what lies between them."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _scan(data)


def _scan(data: mmap.mmap) -> Iterator[Frame | Gap]:
    at, size = 0, len(data)
    while at < size:
        found, start = _frame_at(data, at), at
        while found is None:
            start = data.find(MARK, start + 1)
            if start < 0:
                yield Gap(at, size, 0, None)
                return
            found = _frame_at(data, start)
        if start > at:
            yield Gap(at, start, 0, None)
        yield found
        at = found.stop


def _frame_at(data: mmap.mmap, at: int) -> Frame | None:
    """Return the frame that begins here, if a good one does."""
    start = at + FRAME.size
    if data[at : at + len(MARK)] != MARK or start > len(data):
        return None
    _, crc, length, kind, table, _, number = FRAME.unpack_from(data, at)
    if start + length > len(data):
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(data[at + CHECKED_FROM : start])) != crc:
        return None
    return Frame(at, start + length, kind, table, number, payload)


def survey(path: Path) -> Survey:
    """Return what a journal holds; nothing is kept in memory but counts.

    Raises
    ------
    RecordingError
        Where a recorder is still writing it, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(f"{path} is being written: the session still runs; wait for its end") from None
    except OSError as error:
        raise RecordingError(f"{path}: the journal cannot be read: {error.strerror}") from error
    synced = max((f.stop for f in scan(path) if isinstance(f, Frame) and f.kind == SYNCED), default=0)
    found = Survey(path, size=path.stat().st_size)
    _Reading(found, synced).read()
    return found


class _Reading:
    """Walks through a journal once; ``_span`` is the last batch of blocks, samples."""

    def __init__(self, found: Survey, synced: int) -> None:
        self._found, self._synced = found, synced
        self._span = (0, 0)
        self._open: list[Gap] = []

    def read(self) -> None:
        for piece in scan(self._found.path):
            if isinstance(piece, Frame):
                self._count(piece)
                self._found.usable = piece.stop
            elif piece.start >= self._synced:
                break
            else:
                self._open.append(piece._replace(from_sample=self._span[0]))
        self._found.gaps += self._open

    def _count(self, frame: Frame) -> None:
        found = self._found
        if frame.kind == OPENING and found.opening is None:
            found.opening = Opening.from_json(frame.payload.decode())
            found.n_rows = {path: 0 for path, _ in found.opening.tables}
        elif frame.kind == ROWS and found.opening is not None:
            path, dtype = found.opening.tables[frame.table]
            found.n_rows[path] += len(frame.payload) // dtype.itemsize
            if path == schema.BLOCKS.path:
                self._note_blocks(rows_in(frame.payload, dtype))
        elif frame.kind == SAMPLES:
            found.sample_bytes += len(frame.payload)
        elif frame.kind == CHUNKS:
            chunks = rows_in(frame.payload, CHUNK)
            found.sample_bytes += int(chunks["sample_bytes"].sum())
            found.chunk_bytes += int(chunks["stored_bytes"].sum())
        elif frame.kind == LOST:
            found.lost.append(Lost(*json.loads(frame.payload)))
        elif frame.kind == SUMMARY:
            found.summary = frame.payload.decode()
        elif frame.kind == SYNCED:
            (found.acknowledged_sample,) = SAMPLE.unpack(frame.payload)

    def _note_blocks(self, blocks: Records) -> None:
        """Close the gaps before these blocks: a lost frame is of the batch before it or of this one."""
        first, last = blocks[0], blocks[-1]
        self._span = int(first["start_sample"]), int(last["start_sample"] + last["n_samples"])
        self._found.gaps += [gap._replace(to_sample=self._span[1]) for gap in self._open]
        self._open.clear()
