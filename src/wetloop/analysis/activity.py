"""Statistics of spontaneous activity, from spikes as electrodes see them: one definition for real and simulated.

Everything here takes an ``Activity``: when which electrode saw a spike. Where a definition was published its source
stands beside it; thresholds that nobody fixed are arguments.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from wetloop.core.types import Records

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST_BURSTS = 4
"""Bursts below which their intervals say nothing of regularity."""


@dataclass(frozen=True)
class Activity:
    """Spikes on an electrode array.

    Attributes
    ----------
    times_s
        Time of each spike since the start, s, shape (n_spikes,), ascending.
    channels
        Its electrode, shape (n_spikes,).
    n_channels
        Electrodes of the array, also those that saw nothing.
    duration_s
        Length of the recording, s.
    """

    times_s: Floats
    channels: Integers
    n_channels: int
    duration_s: float

    @classmethod
    def of(cls, spikes: Records, start_sample: int, stop_sample: int, frequency_hz: float, n_channels: int) -> Activity:
        """Return the activity of SPIKE records between two samples."""
        inside = spikes[(spikes["sample_index"] >= start_sample) & (spikes["sample_index"] < stop_sample)]
        order = np.argsort(inside["sample_index"], kind="stable")
        times_s = (inside["sample_index"][order] - start_sample) / frequency_hz
        duration_s = (stop_sample - start_sample) / frequency_hz
        return cls(times_s, inside["channel_index"][order].astype(np.int64), n_channels, duration_s)

    def without(self, pulses_s: Floats, blank_s: float = 0.002) -> Activity:
        """Return the activity without what falls into the artefacts: the time just after each pulse, s."""
        pulses = np.sort(pulses_s)
        last = np.searchsorted(pulses, self.times_s, side="right") - 1
        since = np.where(last < 0, np.inf, self.times_s - pulses[np.maximum(last, 0)]) if len(pulses) else np.inf
        kept = np.broadcast_to(since >= blank_s, self.times_s.shape)
        return Activity(self.times_s[kept], self.channels[kept], self.n_channels, self.duration_s)


class Bursts(NamedTuple):
    """Network bursts: start and end of each, s, shape (n_bursts,), and which spikes lie in one, shape (n_spikes,)."""

    start_s: Floats
    stop_s: Floats
    holds: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RestStatistics:
    """What cultures are compared by; NaN where there are too few bursts to tell.

    ``median_rate_hz`` and ``mean_rate_hz`` are over the electrodes that fire at all; ``burst_interval_cv`` is the
    coefficient of variation of the times from the start of one network burst to the next.
    """

    median_rate_hz: float
    mean_rate_hz: float
    bursts_per_min: float
    burst_duration_s: float
    share_in_bursts: float
    burst_interval_cv: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values by name."""
        return asdict(self)


def rates_hz(activity: Activity) -> Floats:
    """Return the mean rate of each electrode, Hz, shape (n_channels,)."""
    return np.bincount(activity.channels, minlength=activity.n_channels) / activity.duration_s


def network_bursts(activity: Activity, bin_s: float = 0.1, share: float = 0.25, gap_s: float = 0.2) -> Bursts:
    """Return the network bursts: runs of bins in which at least ``share`` of the active electrodes fire.

    Electrodes are active that fire at all in the recording. Gaps of up to ``gap_s`` are bridged; spikes in a gap do not
    count as spikes of a burst. The definition is the project's own, applied alike to every recording compared.
    """
    n_bins = int(np.ceil(activity.duration_s / bin_s)) + 1
    which = np.minimum((activity.times_s / bin_s).astype(np.int64), n_bins - 1)
    pairs = np.unique(which * activity.n_channels + activity.channels)
    firing = np.bincount(pairs // activity.n_channels, minlength=n_bins)
    n_active = len(np.unique(activity.channels))
    on = firing >= max(2.0, share * n_active)
    edges = np.diff(on.astype(np.int8), prepend=0, append=0)
    start, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    apart = start[1:] - stop[:-1] > round(gap_s / bin_s)
    first, last = np.append(True, apart), np.append(apart, True)
    if not len(start):
        first = last = np.zeros(0, bool)
    return Bursts(start[first] * bin_s, stop[last] * bin_s, on[which])


def rest_statistics(activity: Activity) -> RestStatistics:
    """Return the six statistics that cultures are compared by."""
    bursts, rates = network_bursts(activity), rates_hz(activity)
    rates = rates[rates > 0] if rates.any() else rates
    n = len(bursts.start_s)
    intervals = np.diff(bursts.start_s)
    return RestStatistics(
        median_rate_hz=float(np.median(rates)),
        mean_rate_hz=float(rates.mean()),
        bursts_per_min=60 * n / activity.duration_s,
        burst_duration_s=float((bursts.stop_s - bursts.start_s).mean()) if n else float("nan"),
        share_in_bursts=float(bursts.holds.mean()) if len(activity.times_s) else float("nan"),
        burst_interval_cv=float(intervals.std() / intervals.mean()) if n >= LEAST_BURSTS else float("nan"),
    )


def time_in_bursts(activity: Activity) -> float:
    """Return the share of time that network bursts last: few bursts are quiet only if this is small too."""
    bursts = network_bursts(activity)
    return float((bursts.stop_s - bursts.start_s).sum() / activity.duration_s)


def burstiness_index(activity: Activity) -> float:
    """Return 0 for evenly spread spikes, 1 if all fall into 15 % of the seconds (Wagenaar et al. 2005)."""
    n_bins = max(1, int(activity.duration_s))
    counts = np.sort(np.bincount(activity.times_s.astype(np.int64), minlength=n_bins)[:n_bins])[::-1]
    if not counts.sum():
        return float("nan")
    top = counts[: max(1, round(0.15 * n_bins))].sum() / counts.sum()
    return float((top - 0.15) / 0.85)


def intervals_s(activity: Activity) -> Floats:
    """Return the intervals between successive spikes of each electrode, all electrodes together, s."""
    order = np.lexsort((activity.times_s, activity.channels))
    times, channels = activity.times_s[order], activity.channels[order]
    between: Floats = np.diff(times)[np.diff(channels) == 0]
    return between
