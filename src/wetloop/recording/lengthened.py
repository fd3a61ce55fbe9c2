"""Reads an HDF5 file whose end is missing: HDF5 refuses it whole, though all that is there can be read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK = bytes(1)
"""Version of the superblock of every recording (HDF5 file format specification 3.0, II.A: Superblock)."""
OFFSET_BYTES_AT, OFFSET_BYTES, SIZE_AT = 13, 8, 40


class Lengthened(io.FileIO):
    """A file as h5py's ``fileobj`` driver wants it, read as if zeros stood where its end is missing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size = max(path.stat().st_size, declared_bytes(path))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset`` from the start, the position or the declared end, and return the new position."""
        at = (0, self.tell(), self._size)[whence] + offset
        return super().seek(at)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` from the position on, and return the number of bytes."""
        view, n = memoryview(buffer).cast("B"), 0
        while n < len(view) and (read := super().readinto(view[n:])):
            n += read
        view[n:] = bytes(len(view) - n)
        return len(view)


def declared_bytes(path: Path) -> int:
    """Return how long the file is by its own account, bytes; 0 where it does not tell."""
    with path.open("rb") as file:
        head = file.read(SIZE_AT + OFFSET_BYTES)
    if not head.startswith(SIGNATURE + SUPERBLOCK) or head[OFFSET_BYTES_AT : OFFSET_BYTES_AT + 1] != b"\x08":
        return 0
    return int.from_bytes(head[SIZE_AT:], "little")
