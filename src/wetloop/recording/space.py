"""Watches the free space of the disk: raw samples stop first, then the recording, before anything fails."""

from __future__ import annotations

import os
import time
from enum import IntEnum
from typing import TYPE_CHECKING

from wetloop.core.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S = 1.0
RESERVE_S = 300.0
"""The reserve is at least what this recording would write in so many seconds."""
LAST_SHARE = 0.25
"""Share of ``reserve_mb`` at which the recording ends: enough to complete the file."""
SETTLED_S = 10.0
"""A recording is taken to be at least this old, s, so that its first bytes do not look like a flood."""


class Space(IntEnum):
    """How much is left: enough; too little for raw samples; too little for anything."""

    AMPLE = 0
    LOW = 1
    OUT = 2


class SpaceGuard:
    """Tells how much space is left, from a look each second.

    Parameters
    ----------
    folder
        Where the recording is written.
    reserve_mb
        Space to leave for others, MB; None for no guard.
    free_bytes, clock
        For tests: free space of a folder in bytes; time in s.

    Attributes
    ----------
    free_mb, needed_mb
        Free space at the last look, and what is to be left of it, MB.
    """

    def __init__(
        self,
        folder: Path,
        reserve_mb: float | None,
        free_bytes: Callable[[Path], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._reserve_mb, self._clock = folder, reserve_mb, clock
        self._free_bytes = _free_bytes if free_bytes is None else free_bytes
        self._begun_s = clock()
        self._looked_s = -LOOK_S
        self._space = Space.AMPLE
        self.free_mb, self.needed_mb = float("inf"), 0.0

    def look(self, written_bytes: int) -> Space:
        """Return how much space is left for a recording that has written so much; it never gets better."""
        now_s = self._clock()
        if self._reserve_mb is not None and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self.free_mb = self._free_bytes(self._folder) / 1e6
            rate_mb_s = written_bytes / 1e6 / max(SETTLED_S, now_s - self._begun_s)
            self.needed_mb = max(self._reserve_mb, RESERVE_S * rate_mb_s)
            self._space = max(self._space, self._judged(self._reserve_mb))
        return self._space

    def require(self, path: Path) -> None:
        """Raise a ``RecordingError`` where a recording would end as soon as it has begun."""
        if self.look(0) is Space.OUT:
            raise RecordingError(
                f"{path}: not begun, for {self.free_mb:.0f} MB are free and {self.needed_mb:g} MB are to be left: free "
                "some space, choose another disk, or lower recording.reserve_mb"
            )

    def _judged(self, reserve_mb: float) -> Space:
        if self.free_mb < LAST_SHARE * reserve_mb:
            return Space.OUT
        return Space.LOW if self.free_mb < self.needed_mb else Space.AMPLE


def _free_bytes(folder: Path) -> float:
    """Return what an ordinary user may still write, bytes; a file system that does not tell has enough."""
    try:
        told = os.statvfs(folder)
    except OSError:
        return float("inf")
    return told.f_bavail * told.f_frsize
