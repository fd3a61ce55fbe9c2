"""Host time, and the only place that sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S = 0.0002


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


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Look again and again, without a full spin; return whether the condition came true in time."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(POLL_S)
    return True
