"""The journal beside a recording: everything that was handed to the recorder, appended, checked and synced.

HDF5 rewrites its file in place: a power cut in the middle of a flush can make rows unreadable that were safe before. A
journal is only ever appended to, so whatever was synced stays. It is a row of frames, each with a mark, the CRC-32 of
the rest, its length, kind and number; damage costs the frames that it hits and no others. The first frame (written
twice) holds all that is needed to make the recording again; ``wetloop recover`` does so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.header import documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Records, Samples
    from wetloop.recording.header import Header
    from wetloop.recording.schema import Table

Mode: TypeAlias = Literal["none", "tables", "all"]

FORMAT_VERSION = 1
MARK = b"\x89WLJ"
FRAME = struct.Struct("<4sIIBBHQ")
"""Mark, CRC-32 of what follows it and of the payload, bytes of payload, kind, table, 0, number of the frame."""
CHECKED_FROM = 8
OPENING, ROWS, SAMPLES, SUMMARY, SYNCED, CHUNKS, LOST = range(1, 8)
"""Kinds of frames: the header as JSON; records of one table; raw samples; the session's last words as JSON; the sample
up to which everything before this frame was on the disk when it was written. What is salvaged from a recording also has
frames of where its chunks of raw samples stand, and of what could not be read, as JSON."""
SAMPLE = struct.Struct("<q")
CHUNK = np.dtype(
    [
        ("first_row", "<i8"), ("n_rows", "<i8"), ("filter_mask", "<i8"), ("offset", "<i8"), ("stored_bytes", "<i8"),
        ("sample_bytes", "<i8"),
    ]
)  # fmt: skip
"""Raw samples as they stand in a recording: which rows; HDF5's mask of the filters that were not of use for them; where
and how long, and how long when they are read, bytes."""


def journal_path(recording: Path) -> Path:
    """Return the path of the journal of a recording."""
    return recording.with_name(f"{recording.name}.journal")


class Safekeeping(NamedTuple):
    """How a recording is kept safe.

    ``journal``: what is journalled beside the file: nothing, the tables, or raw samples too. ``keep_journal``: leave it
    when the file is whole. ``reserve_mb``: space to leave on the disk, MB; None for no guard.
    """

    journal: Mode = "none"
    keep_journal: bool = False
    reserve_mb: float | None = None


class Lost(NamedTuple):
    """What could not be read of a dataset: samples on the rig's clock (of raw samples: rows); None for an open end."""

    path: str
    start: int
    stop: int | None


class How(NamedTuple):
    """Whether a recording keeps raw samples, and how they are compressed."""

    raw_samples: bool
    compression: schema.Compression


class Opening(NamedTuple):
    """What a journal opens with.

    Attributes
    ----------
    documents
        JSON texts of the recording's header, by name.
    tables
        Path inside the recording and record type of each table, in the order of their numbers.
    raw_samples, compression
        How the recording was made.
    """

    documents: Mapping[str, str]
    tables: Sequence[tuple[str, np.dtype[np.void]]]
    raw_samples: bool
    compression: schema.Compression

    @classmethod
    def of(cls, header: Header, types: Mapping[Table, np.dtype[np.void]], how: How) -> Opening:
        """Return the opening of a recording's journal; ``types`` are the record types of its tables."""
        return cls(documents(header), [(table.path, dtype) for table, dtype in types.items()], *how)

    def to_json(self) -> str:
        """Return it as JSON."""
        tables = [(path, np.lib.format.dtype_to_descr(dtype)) for path, dtype in self.tables]
        return json.dumps({"format": FORMAT_VERSION, **self._asdict(), "tables": tables})

    @classmethod
    def from_json(cls, text: str) -> Opening:
        """Return what ``to_json`` wrote."""
        plain = json.loads(text)
        version = plain.pop("format")
        if version > FORMAT_VERSION:
            raise RecordingError(f"the journal has format {version}, newer than {FORMAT_VERSION}: update Wetloop")
        tables = [(path, np.lib.format.descr_to_dtype(_tuples(kind))) for path, kind in plain.pop("tables")]
        return cls(tables=tables, **plain)


class Journal:
    """A journal under way; raises ``OSError`` where the disk refuses.

    Attributes
    ----------
    acknowledged_frames, acknowledged_sample
        What is on the disk, whatever happens: frames, and the end of the last block among them, samples.
    n_bytes
        Size of the file.
    """

    def __init__(self, path: Path, opening: Opening, mode: Mode) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._numbers = {name: number for number, (name, _) in enumerate(opening.tables)}
        self._keeps_samples = mode == "all"
        self._n_frames = self._last_sample = 0
        self._behind = True
        self.n_bytes = self.acknowledged_frames = self.acknowledged_sample = 0
        for _ in range(2):
            self._put(OPENING, opening.to_json().encode())
        _sync_folder(path)

    def rows(self, path: str, rows: Records) -> None:
        """Append records of the table at ``path``."""
        self._put(ROWS, np.ascontiguousarray(rows).tobytes(), self._numbers[path])
        if path == schema.BLOCKS.path:
            self._last_sample = int(rows["start_sample"][-1] + rows["n_samples"][-1])

    def samples(self, samples: Samples) -> None:
        """Append raw samples, if this journal keeps them."""
        if self._keeps_samples:
            self._put(SAMPLES, np.ascontiguousarray(samples, "<i2").tobytes())

    def chunks(self, chunks: Records) -> None:
        """Append CHUNK records."""
        self._put(CHUNKS, chunks.tobytes())

    def lost(self, lost: Lost) -> None:
        """Append what could not be read."""
        self._put(LOST, json.dumps(lost).encode())

    def summary(self, text: str) -> None:
        """Append the session's last words."""
        self._put(SUMMARY, text.encode())

    def sync(self) -> None:
        """Bring everything to the disk: from now on it is acknowledged."""
        if self._behind:
            os.fdatasync(self._fd)
            self.acknowledged_frames, self.acknowledged_sample = self._n_frames, self._last_sample
            self._put(SYNCED, SAMPLE.pack(self._last_sample))
            self._behind = False

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def remove(self) -> None:
        """Delete the file: the recording is whole."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _put(self, kind: int, payload: bytes, table: int = 0) -> None:
        data = memoryview(frame(kind, table, self._n_frames, payload))
        while data:
            done = os.write(self._fd, data)
            data, self.n_bytes = data[done:], self.n_bytes + done
        self._n_frames += 1
        self._behind = True


class NoJournal:
    """The journal of a recording that keeps none."""

    n_bytes = acknowledged_frames = 0
    acknowledged_sample = -1

    def rows(self, path: str, rows: Records) -> None:
        """Do nothing."""

    def samples(self, samples: Samples) -> None:
        """Do nothing."""

    def summary(self, text: str) -> None:
        """Do nothing."""

    def sync(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""


def frame(kind: int, table: int, number: int, payload: bytes) -> bytes:
    """Return one frame."""
    head = FRAME.pack(MARK, 0, len(payload), kind, table, 0, number)
    crc = zlib.crc32(payload, zlib.crc32(head[CHECKED_FROM:]))
    return head[:4] + struct.pack("<I", crc) + head[CHECKED_FROM:] + payload


def rows_in(payload: bytes, dtype: np.dtype[np.void]) -> Records:
    """Return the records of a frame."""
    records: Records = np.frombuffer(payload, dtype)
    return records


def samples_in(payload: bytes, n_channels: int) -> Samples:
    """Return the raw samples of a frame, int16 (n_samples, n_channels)."""
    samples: npt.NDArray[np.int16] = np.frombuffer(payload, "<i2").reshape(-1, n_channels)
    return samples


def _sync_folder(path: Path) -> None:
    """Make the names of new files survive a power cut too."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _tuples(description: Any) -> Any:
    """Turn a dtype's description back from JSON, which knows only lists."""
    if isinstance(description, str):
        return description
    return [(name, _tuples(kind), *map(tuple, shape)) for name, kind, *shape in description]
