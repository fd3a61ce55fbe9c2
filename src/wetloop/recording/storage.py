"""The one open file behind a recording under way; it keeps HDF5 from crashing the process on a write error.

HDF5 that has been told of a failed write destroys the file, and often the process, when it is used or merely closed
afterwards (disk full: 16 of 16 files unreadable). So HDF5 is never told: the first failure is kept for the owner of
the file, and whatever HDF5 does from then on is discarded.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Storage:
    """A file as h5py's ``fileobj`` driver wants it: ``seek``, ``tell``, ``readinto``, ``write``, ``truncate``, ``flush``.

    A file that exists is refused with ``FileExistsError``. The lock is shared, as that of a reader: other tools may look
    into the recording while it grows, but HDF5 lets nobody else write to it.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._position = 0
        self._size = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset`` from the start, the position or the end, and return the new position."""
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes from the position on."""
        return b"" if self.error else os.pread(self._fd, self._size if size < 0 else size, self._position)

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from the position on and return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: memoryview) -> int:
        """Write all of ``data`` at the position; after the first failure, pretend to."""
        if self.error is None:
            try:
                self._write_all(data)
            except OSError as error:
                self.discard(error)
        self._size = max(self._size, self._position + len(data))
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the size of the file."""
        if self.error is None:
            try:
                os.ftruncate(self._fd, size)
            except OSError as error:
                self.discard(error)
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: every write has already been handed to the operating system."""

    def discard(self, error: OSError) -> None:
        """Leave the file on the disk as it is, whatever happens from now on."""
        self.error = error
        os.close(self._fd)

    def close(self) -> None:
        """Push everything to the disk and let go; only HDF5 that is closed itself needs the file no more."""
        if self.error is None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                self.discard(error)
            else:
                os.close(self._fd)

    def _write_all(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], self._position + done)
