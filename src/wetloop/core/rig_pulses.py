"""Pulses at the rig: what was handed to it, what it tells of them itself, and what came of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.types import Records

TRIGGERED = np.dtype(
    [
        ("sample_index", "<i8"), ("pattern", "<i4"), ("voice", "<i4"), ("serial", "<i8"), ("forwarded_ns", "<i8"),
        ("told_ns", "<i8"), ("outcome", "<i4"), ("reserved", "<i4"),
    ]
)  # fmt: skip
"""A pulse that was handed to the rig, and what it said: an index of OUTCOMES."""
OUTCOMES = ("taken", "refused")
TAKEN, REFUSED = range(len(OUTCOMES))
SEEN = np.dtype([("sample_index", "<i8"), ("channel_index", "<i4"), ("reserved", "<i4")])
"""The first sample of a pulse on one channel, as the rig tells it."""
LONGEST_S = 0.2
"""A pulse that is later than this is another one."""
EARLIEST_S = 0.05


class StimReport(NamedTuple):
    """What became of pulses, on each channel by itself: one on eight electrodes counts eight.

    Attributes
    ----------
    taken
        Pulses that the rig took.
    seen
        Those of them of which it then told.
    unasked
        Pulses that it told of and that were not handed to it.
    delay_ms_median, delay_ms_max
        From the sample that was asked for to the first sample of the pulse, ms; NaN where none was seen. If the median
        is not near 0, change the driver's ``trigger_latency_ms``, where it has one, by it.
    """

    taken: int
    seen: int
    unasked: int
    delay_ms_median: float
    delay_ms_max: float


def seen_rows(samples: npt.ArrayLike, channels: npt.ArrayLike) -> Records:
    """Return rows of dtype SEEN, in the order of their samples."""
    rows = np.zeros(np.size(samples), SEEN)
    rows["sample_index"], rows["channel_index"] = samples, channels
    return rows[np.argsort(rows["sample_index"], kind="stable")]


def account(taken: Records, seen: Records, sampling_frequency: float) -> StimReport:
    """Find the pulse that each thing seen is.

    Parameters
    ----------
    taken
        Channel and sample of every pulse that the rig took, dtype SEEN.
    seen
        What the rig told, dtype SEEN.
    sampling_frequency
        Samples per second.
    """
    asked: dict[int, deque[int]] = {}
    for row in np.sort(taken, order="sample_index"):
        asked.setdefault(int(row["channel_index"]), deque()).append(int(row["sample_index"]))
    delays, unasked = [], 0
    for row in np.sort(seen, order="sample_index"):
        waiting, onset = asked.get(int(row["channel_index"]), deque[int]()), int(row["sample_index"])
        while waiting and waiting[0] < onset - LONGEST_S * sampling_frequency:
            waiting.popleft()
        if waiting and waiting[0] <= onset + EARLIEST_S * sampling_frequency:
            delays.append(onset - waiting.popleft())
        else:
            unasked += 1
    delays_ms = np.array(delays, np.float64) / sampling_frequency * 1000
    median, most = (float(np.median(delays_ms)), float(delays_ms.max())) if delays else (np.nan, np.nan)
    return StimReport(len(taken), len(delays), unasked, median, most)
