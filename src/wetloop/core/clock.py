"""Host time, and the only place that sleeps."""

from __future__ import annotations

import time
from typing import Protocol


class Pace(Protocol):
    """Holds a run back to the time at which its samples would exist."""

    def wait(self, sample: int) -> float:
        """Wait until ``sample`` is due; return how late that was, us (0 when it was not)."""


class Unpaced:
    """As fast as it goes: nothing is ever late."""

    def wait(self, sample: int) -> float:  # noqa: ARG002  (part of the protocol)
        """Return at once."""
        return 0.0


class WallPace:
    """Absolute deadlines on the host's monotonic clock: an overrun never shifts the grid."""

    def __init__(self, sampling_frequency: float) -> None:
        self._period_s = 1.0 / sampling_frequency
        self._origin: float | None = None

    def wait(self, sample: int) -> float:
        """Sleep until the sample's absolute deadline; the first call sets the origin."""
        now = time.monotonic()
        if self._origin is None:
            self._origin = now - sample * self._period_s
        early = self._origin + sample * self._period_s - now
        if early > 0:
            time.sleep(early)
            return 0.0
        return -early * 1e6
