"""The one open file behind a recording under way: what HDF5 writes is held back and committed at once.

HDF5 rewrites its file in place, so a process that dies in the middle of a flush leaves a torn file; and HDF5
that has been told of a failed write destroys the file, and often the process, when it is used or merely
closed afterwards. Here HDF5 writes into memory and never fails. ``commit`` first reserves the space, then
copies everything to the file: a full disk is noticed before a byte has changed, and only a process killed
during that copy can tear it. Large pieces behind the committed end go straight to the file, which means nothing until
the next commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from wetloop.core.errors import RecordingError
from wetloop.recording import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wetloop.recording.header import Header

Opened = TypeVar("Opened")


LARGE_BYTES = 1 << 18
PAGE_BYTES = 1 << 16
"""What is held is found by the pages that it touches: a session's last commit holds thousands of pieces."""
LEAST_CACHE_BYTES, MOST_CACHE_BYTES = 1 << 18, 8 << 20
"""Of each column, for the chunk that grows. HDF5 2 keeps 8 MB of each if it may: memory then grows 240 MB an hour."""


class Storage:
    """A file as h5py's ``fileobj`` driver wants it, with two additions: ``commit`` and ``close``.

    A file that exists is refused with ``FileExistsError``. The lock is shared, as that of a reader: other
    tools may look into the recording while it grows, but HDF5 lets nobody else write to it.
    """

    def __init__(self, path: Path, large_bytes: int = LARGE_BYTES) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._held: list[tuple[int, bytes]] = []
        self._pages: defaultdict[int, list[int]] = defaultdict(list)
        self._position = 0
        self._size = 0
        self._size_on_disk = 0
        self._large_bytes = large_bytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset`` from the start, the position or the end, and return the new position."""
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes from the position on, as if everything had been committed."""
        start = self._position
        stop = max(start, self._size if size < 0 else min(self._size, start + size))
        data = bytearray(os.pread(self._fd, stop - start, start).ljust(stop - start, b"\0"))
        for offset, held in self._over(start, stop):
            first, last = max(start, offset), min(stop, offset + len(held))
            if first < last:
                data[first - start : last - start] = held[first - offset : last - offset]
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from the position on and return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: memoryview) -> int:
        """Hold ``data`` for the position, or write what is large and new at once."""
        if not (len(data) >= self._large_bytes and self._is_new(self._position, len(data)) and self._written(data)):
            self._hold(bytes(data))
        self._size = max(self._size, self._position + len(data))
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the size of the file at the next commit."""
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: only ``commit`` touches the file."""

    def commit(self) -> None:
        """Bring everything held into the file; raises ``OSError``, mostly with the file as it was."""
        growth = self._size - self._size_on_disk
        if growth > 0:
            os.posix_fallocate(self._fd, self._size_on_disk, growth)
        for offset, data in self._held:
            self._write_all(data, offset)
        os.ftruncate(self._fd, self._size)
        self._size_on_disk = self._size
        self._held.clear()
        self._pages.clear()

    @property
    def size_on_disk(self) -> int:
        """Bytes of the file, without what is held."""
        return self._size_on_disk

    def sync(self) -> None:
        """Push everything committed to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file and of what was not committed; HDF5 must have been closed before."""
        os.ftruncate(self._fd, self._size_on_disk)
        os.close(self._fd)

    def _is_new(self, start: int, size: int) -> bool:
        """Tell whether a piece lies behind the committed end and over nothing that is held."""
        return start >= self._size_on_disk and not any(self._over(start, start + size))

    def _hold(self, data: bytes) -> None:
        start, stop = self._position, self._position + len(data)
        for page in range(start // PAGE_BYTES, -(-stop // PAGE_BYTES)):
            self._pages[page].append(len(self._held))
        self._held.append((start, data))

    def _over(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield what is held of [start, stop), in the order in which it was written."""
        pages = range(start // PAGE_BYTES, -(-stop // PAGE_BYTES))
        for k in sorted({k for page in pages if page in self._pages for k in self._pages[page]}):
            offset, held = self._held[k]
            if offset < stop and start < offset + len(held):
                yield offset, held

    def _written(self, data: memoryview) -> bool:
        """Write at the position; where that fails the piece is held, and the next commit fails in its stead."""
        try:
            self._write_all(data, self._position)
        except OSError:
            return False
        return True

    def _write_all(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._fd, view, offset)
            view, offset = view[done:], offset + done


def create(path: Path, make: Callable[[Path], Opened]) -> Opened:
    """Return what ``make`` opens at a path where nothing may be yet, or refuse in words."""
    try:
        return make(path)
    except FileExistsError as error:
        raise RecordingError(f"{path}: a file of this name exists; recordings are never overwritten") from error
    except OSError as error:
        raise RecordingError(f"{path}: the recording cannot be created: {error.strerror}") from error


def chunk_cache_bytes(header: Header) -> int:
    """Return what holds the largest chunk of a table: one of observations or of actions."""
    width = max(header.n_actions, header.n_observations)
    return min(MOST_CACHE_BYTES, max(LEAST_CACHE_BYTES, 8 * schema.DECISIONS.chunk_rows * width))
