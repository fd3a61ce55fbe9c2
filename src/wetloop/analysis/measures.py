"""Measures of one session beside those of its activity: answers to pulses, policy, connectivity, intervals of means.

Everything takes and returns plain arrays; times are in s since the start of the recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from wetloop.analysis.evoked import latencies_s

if TYPE_CHECKING:
    from wetloop.analysis.activity import Activity

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

CONFIDENCE = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where there are fewer than two values."""

    low: float
    high: float


def interval_of_mean(values: Floats, rng: np.random.Generator) -> Interval:
    """Return the 95 % percentile bootstrap interval of the mean (2,000 resamples, ``scipy.stats.bootstrap``)."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return Interval(float("nan"), float("nan"))
    if np.ptp(known) == 0.0:
        return Interval(float(known[0]), float(known[0]))
    from scipy import stats

    found = stats.bootstrap(
        (known,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=rng
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def means_by_bin(which: Integers, values: Floats, n_bins: int) -> Floats:
    """Return the mean of the values in each bin, shape (n_bins,), NaN for an empty one; bins below 0 are left out."""
    inside = which >= 0
    counts = np.bincount(which[inside], minlength=n_bins)
    sums = np.bincount(which[inside], weights=values[inside], minlength=n_bins)
    means: Floats = np.divide(sums, counts, out=np.full(n_bins, np.nan), where=counts > 0)
    return means


def first_of_trains(times_s: Floats, gap_s: float) -> Floats:
    """Return the times, ascending, before which nothing happened for ``gap_s``."""
    if not len(times_s):
        return times_s
    first: Floats = times_s[np.append(True, np.diff(times_s) >= gap_s)]
    return first


def psth(activity: Activity, onsets_s: Floats, edges_s: Floats) -> Floats:
    """Return the mean rate of an electrode around the onsets, Hz per electrode, shape (n_edges - 1,).

    The peristimulus time histogram over the whole array; ``edges_s`` are relative to the onset, s, ascending.
    """
    latency = latencies_s(activity, onsets_s, -float(edges_s[0]), float(edges_s[-1]))
    counts = np.histogram(latency, edges_s)[0]
    rates: Floats = counts / (np.diff(edges_s) * max(1, len(onsets_s)) * activity.n_channels)
    return rates


def motor_balance(first: Floats, second: Floats) -> Floats:
    """Return by how much the first region is more active, (first - second) / (first + second), NaN for no spikes."""
    both = first + second
    balance: Floats = np.divide(first - second, both, out=np.full(len(both), np.nan), where=both > 0)
    return balance


def log_density(values: Floats, per_decade: int) -> tuple[Floats, Floats]:
    """Return the density of positive whole numbers in logarithmic bins: centres and densities, without empty bins.

    Bins that hold no whole number are impossible for counts and would show gaps: below ten, every integer is a bin.
    """
    if not len(values):
        return np.zeros(0), np.zeros(0)
    low = np.arange(1, 10) - 0.5
    decades = max(1.0, np.log10(max(10.0, float(values.max()) + 1)))
    high = np.logspace(1, decades, 2 + round(per_decade * (decades - 1)))
    edges = np.unique(np.append(low, np.ceil(high) - 0.5))
    counts = np.histogram(values, edges)[0]
    centres = np.sqrt((edges[:-1] + 0.5) * (edges[1:] - 0.5))
    density = counts / (counts.sum() * np.diff(edges))
    return centres[counts > 0], density[counts > 0]


def sttc(activity: Activity, channels: Integers, dt_s: float) -> Floats:
    """Return the spike time tiling coefficient of each pair of channels, shape (n, n); NaN for a silent channel.

    Cutts and Eglen, J. Neurosci. 2014: the mean of (P_a - T_b) / (1 - P_a T_b) and the same with a and b exchanged.
    P_a is the share of a's spikes within ``dt_s`` of a spike of b, T_b the share of time within ``dt_s`` of one.
    Unlike a correlation it does not depend on the rates.
    """
    column = np.full(activity.n_channels, -1)
    column[channels] = np.arange(len(channels))
    kept = column[activity.channels] >= 0
    times, which = activity.times_s[kept], column[activity.channels[kept]]
    n = len(channels)
    totals = np.bincount(which, minlength=n)
    near, tiled = np.zeros((n, n)), np.zeros(n)
    for b in range(n):
        train = times[which == b]
        near[:, b] = np.bincount(which[_within(times, train, dt_s)], minlength=n)
        tiled[b] = _tiled_share(train, dt_s, activity.duration_s)
    share = np.divide(near, totals[:, None], out=np.full((n, n), np.nan), where=totals[:, None] > 0)
    share[:, totals == 0] = np.nan
    one_way = _tiling_term(share, tiled)
    coefficients: Floats = (one_way + one_way.T) / 2
    return coefficients


def _within(times: Floats, train: Floats, dt_s: float) -> npt.NDArray[np.bool_]:
    """Return which of the times lie within ``dt_s`` of the train; both ascending."""
    n = len(times) + 1
    begins = np.bincount(np.searchsorted(times, train - dt_s, "left"), minlength=n)
    ends = np.bincount(np.searchsorted(times, train + dt_s, "right"), minlength=n)
    inside: npt.NDArray[np.bool_] = np.cumsum(begins - ends)[:-1] > 0
    return inside


def _tiled_share(train: Floats, dt_s: float, duration_s: float) -> float:
    """Return the share of the recording within ``dt_s`` of the train."""
    if not len(train):
        return 0.0
    covered = np.minimum(np.diff(train), 2 * dt_s).sum()
    edges = min(dt_s, float(train[0])) + min(dt_s, duration_s - float(train[-1]))
    return float(covered + edges) / duration_s


def _tiling_term(share: Floats, tiled: Floats) -> Floats:
    """Return (P_a - T_b) / (1 - P_a T_b), 1 where both are 1."""
    product = share * tiled
    return np.divide(share - tiled, 1 - product, out=np.ones_like(share), where=product != 1.0)
