"""Neuronal avalanches: how activity spreads over the array, and how near to critical it is.

Beggs and Plenz (J. Neurosci. 2003) cut time into bins as long as the mean interval between spikes of the whole array;
an avalanche is a run of bins with spikes between two empty ones. Cultures are critical, sub- or supercritical (Pasquale
et al., Neuroscience 2008): exponents near 1.5 (size) and 2 (duration) alone prove nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.analysis.activity import Activity

    Integers = npt.NDArray[np.int64]

LEAST_AVALANCHES = 50
"""Avalanches below which no exponent is given."""


class Avalanches(NamedTuple):
    """Spikes and bins of each avalanche, shape (n_avalanches,), the bin in s, and the spikes of each bin."""

    sizes: Integers
    durations: Integers
    bin_s: float
    counts: Integers


def avalanches(activity: Activity, bin_s: float | None = None) -> Avalanches:
    """Return the avalanches; the bin is by default the mean interval between spikes of the array."""
    if bin_s is None:
        bin_s = activity.duration_s / max(1, len(activity.times_s))
    counts = np.bincount((activity.times_s / bin_s).astype(np.int64))
    edges = np.diff((counts > 0).astype(np.int8), prepend=0, append=0)
    start, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    before = np.append(0, np.cumsum(counts))
    return Avalanches(before[stop] - before[start], stop - start, bin_s, counts)


def exponent(values: Integers, least: int = 1) -> float:
    """Return the exponent of a power law from ``least`` on, by approximate maximum likelihood for whole numbers.

    Clauset, Shalizi and Newman, SIAM Review 2009, equation 3.7. NaN for fewer than 50 values.
    """
    above = values[values >= least]
    if len(above) < LEAST_AVALANCHES:
        return float("nan")
    return float(1 + len(above) / np.log(above / (least - 0.5)).sum())


def branching_ratio(found: Avalanches) -> float:
    """Return the mean number of spikes in a bin over those of the bin before, within avalanches (Beggs, Plenz 2003).

    An array sees few of the cells, which makes the ratio smaller than it is in the network (Wilting, Priesemann 2018).
    """
    before, after = found.counts[:-1], found.counts[1:]
    inside = before > 0
    return float((after[inside] / before[inside]).mean()) if inside.any() else float("nan")
