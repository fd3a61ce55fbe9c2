"""The rig's clock against the host's, fitted while packets arrive.

A packet arrives when its last sample was taken, plus a delay that varies and is never negative. So the quickest packet
of each second tells the most, and a line through those of the last minutes tells offset and drift.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

WINDOW_S = 1.0
WINDOWS = 120
"""Quickest packets that the line is drawn through: two minutes."""
DRIFT_FROM_WINDOWS = 5
"""With fewer, the rig's nominal frequency is better than a fit."""
JUMP_NS = 20e6
"""Quickest packets of two seconds do not differ by so much unless a clock has jumped or all were held up, ns."""
SETTLED_WINDOWS = 3
"""What is held up for longer has jumped; nothing comes early by itself."""
QUICKER_NS = 50e3
"""A packet of the first second that is quicker by so much is told soon: the very first one may have waited, ns."""
TOLD_APART_NS = 5e6
"""Estimates of the first second are this far apart: whoever records them must keep up, ns."""

ESTIMATE = np.dtype(
    [
        ("sample_index", "<i8"), ("host_ns", "<i8"), ("sample_ns", "<f8"), ("drift_ppm", "<f8"),
        ("jitter_us", "<f8"), ("jumps", "<i8"),
    ]
)  # fmt: skip
"""Record of an ``Estimate``."""


class Estimate(NamedTuple):
    """Sample ``sample_index`` was taken at ``host_ns``, and others at ``sample_ns``.

    ``drift_ppm`` is how much faster the rig's clock runs than it should, ``jitter_us`` the 95th percentile of the
    packets' delay over the quickest ones, ``jumps`` counts how often either clock has jumped.
    """

    sample_index: int
    host_ns: int
    sample_ns: float
    drift_ppm: float = 0.0
    jitter_us: float = 0.0
    jumps: int = 0

    def host_at(self, sample: int) -> int:
        """Return when a sample is taken by the rig, ns of the host's monotonic clock."""
        return self.host_ns + round((sample - self.sample_index) * self.sample_ns)


class RigClock:
    """Fits the rig's clock online.

    Parameters
    ----------
    sampling_frequency
        Nominal, Hz.
    latency_ms
        From the last sample of a packet to its arrival at best, ms; the fit cannot know it.
    """

    def __init__(self, sampling_frequency: float, latency_ms: float = 0.0) -> None:
        self._nominal_ns = 1e9 / sampling_frequency
        self._latency_ns = latency_ms * 1e6
        self._window = round(WINDOW_S * sampling_frequency)
        self._origin: tuple[int, int] | None = None
        self._first_ns, self._told_ns, self._untold = 0.0, 0, False
        self._quickest: deque[tuple[float, float]] = deque(maxlen=WINDOWS)
        self._seen: list[tuple[float, float]] = []
        self._jumps = self._held_up = 0

    def observe(self, sample: int, arrival_ns: int) -> Estimate | None:
        """Take in the arrival of a packet that ends before ``sample``; return a new estimate, at least one a second."""
        if self._origin is None:
            self._origin = sample, arrival_ns
            self._told_ns = arrival_ns
            self._seen.append((0.0, 0.0))
            return self._estimate(0.0, 0.0)
        samples = sample - self._origin[0]
        late_ns = arrival_ns - self._origin[1] - samples * self._nominal_ns
        self._seen.append((float(samples), late_ns))
        if samples - self._seen[0][0] >= self._window:
            return self._close_window()
        return None if self._quickest else self._first_second(float(samples), late_ns, arrival_ns)

    def _first_second(self, samples: float, late_ns: float, arrival_ns: int) -> Estimate | None:
        """Tell of quicker packets as they come, but not of each of a backlog that is read at once."""
        if late_ns < self._first_ns - QUICKER_NS:
            self._first_ns, self._untold = late_ns, True
        if not self._untold or arrival_ns - self._told_ns < TOLD_APART_NS:
            return None
        self._told_ns, self._untold = arrival_ns, False
        return self._estimate(samples, 0.0)

    def _close_window(self) -> Estimate:
        self._take(*min(self._seen, key=lambda seen: seen[1]))
        line = self._line()
        samples, delays_ns = np.array(self._seen).T
        jitter_us = float(np.percentile(delays_ns - np.polyval(line, samples), 95)) / 1000
        at = self._seen[-1][0]
        self._seen.clear()
        return self._estimate(at, jitter_us)

    def _take(self, samples: float, late_ns: float) -> None:
        """Take in the quickest packet of a window, unless the whole window may have been held up."""
        off_ns = late_ns - float(np.polyval(self._line(), samples)) if self._quickest else 0.0
        self._held_up = self._held_up + 1 if off_ns > JUMP_NS else 0
        if 0 < self._held_up < SETTLED_WINDOWS:
            return
        if abs(off_ns) > JUMP_NS:
            self._quickest.clear()
            self._jumps, self._held_up = self._jumps + 1, 0
        self._quickest.append((samples, late_ns))

    def _line(self) -> tuple[float, float]:
        """Return slope (ns per sample) and height (ns) of the quickest packets' delay over the nominal clock."""
        samples, delays_ns = np.array(self._quickest or [(0.0, self._first_ns)]).T
        if len(samples) < DRIFT_FROM_WINDOWS:
            return 0.0, float(delays_ns.min())
        slope, height = np.polyfit(samples, delays_ns, 1)
        return float(slope), float(height)

    def _estimate(self, samples: float, jitter_us: float) -> Estimate:
        assert self._origin is not None  # noqa: S101  (set by the first packet)
        slope, height = self._line()
        host_ns = self._origin[1] + samples * self._nominal_ns + slope * samples + height - self._latency_ns
        per_sample = self._nominal_ns + slope
        drift_ppm = (self._nominal_ns / per_sample - 1) * 1e6
        return Estimate(self._origin[0] + int(samples), round(host_ns), per_sample, drift_ppm, jitter_us, self._jumps)
