"""Takes something away from recorded activity, to ask what a result owed to it; what is kept is kept per channel.

=====================  ========================================  =========================================
ablation               kept                                      gone
=====================  ========================================  =========================================
``poisson``            rate of each channel in each second       every interval, every coincidence
``shuffled_channels``  time of every spike, count per channel    which channel fires when
``shuffled_time``      every interval of each channel, in order  what the channels have to do with each other
``silence``            nothing                                   everything
=====================  ========================================  =========================================

``shuffled_channels`` keeps the population rate and each channel's mean (Okun et al., J. Neurosci. 32, 2012);
``shuffled_time`` shifts whole trains against each other, and wraps them around (Grün, J. Neurophysiol. 101, 2009;
Stella et al., eNeuro 9, 2022, compare the alternatives). Exchanging the intervals of a train would keep less: a burst
is their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.types import Records

Ablation: TypeAlias = Literal["none", "poisson", "shuffled_channels", "shuffled_time", "silence"]


def ablated(spikes: Records, ablation: Ablation, n_samples: int, bin_samples: int, rng: np.random.Generator) -> Records:
    """Return other spikes in place of recorded ones.

    Parameters
    ----------
    spikes
        SPIKE records that become known within [0, n_samples), in any order.
    ablation
        What is taken away.
    n_samples
        Length of the recording, samples.
    bin_samples
        Bins in which ``poisson`` keeps each channel's rate, samples.
    rng
        Draws everything random.
    """
    if ablation == "poisson":
        return _poisson(spikes, n_samples, bin_samples, rng)
    if ablation == "shuffled_channels":
        return _shuffled_channels(spikes, rng)
    if ablation == "shuffled_time":
        return _shuffled_time(spikes, n_samples, rng)
    return spikes[:0] if ablation == "silence" else spikes


def _poisson(spikes: Records, n_samples: int, bin_samples: int, rng: np.random.Generator) -> Records:
    """Draw a Poisson number of spikes in place of each one, each anywhere in its bin.

    The sum of n Poisson numbers of mean 1 is one of mean n: a channel's count in a bin is Poisson, and its mean is the
    recorded count.
    """
    drawn = np.repeat(spikes, rng.poisson(1.0, len(spikes)))
    first = drawn["known_sample"] // bin_samples * bin_samples
    _move(drawn, rng.integers(first, np.minimum(first + bin_samples, n_samples)))
    return drawn


def _shuffled_channels(spikes: Records, rng: np.random.Generator) -> Records:
    """Give every spike channel and amplitude of another one."""
    shuffled, order = spikes.copy(), rng.permutation(len(spikes))
    for field in ("channel_index", "amplitude_uv"):
        shuffled[field] = spikes[field][order]
    return shuffled


def _shuffled_time(spikes: Records, n_samples: int, rng: np.random.Generator) -> Records:
    """Shift each channel by a time of its own; what leaves at the end comes back at the start."""
    shifted = spikes.copy()
    n_channels = int(spikes["channel_index"].max(initial=-1)) + 1
    shift = rng.integers(n_samples, size=n_channels)
    _move(shifted, (spikes["known_sample"] + shift[spikes["channel_index"]]) % n_samples)
    return shifted


def _move(spikes: Records, known_sample: npt.NDArray[np.int64]) -> None:
    """Let spikes become known at other times, as long after their peaks as before."""
    spikes["sample_index"] += known_sample - spikes["known_sample"]
    spikes["known_sample"] = known_sample
