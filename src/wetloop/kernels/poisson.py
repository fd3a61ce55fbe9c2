"""Independent Poisson spike trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.kernels.electrodes import put_spike
from wetloop.kernels.jit import kernel
from wetloop.kernels.network import ZERO
from wetloop.kernels.random import exponential, mix

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@kernel
def draw_spikes(
    seed: int,
    interval_samples: float,
    due: npt.NDArray[np.float64],
    n_drawn: npt.NDArray[np.int64],
    stop_sample: int,
    amplitude_uv: float,
    spikes: npt.NDArray[np.void],
) -> int:
    """Append the spikes before ``stop_sample``, by time then channel, until ``spikes`` is full.

    Parameters
    ----------
    interval_samples
        Mean interval of a train, samples.
    due, n_drawn
        Next spike of each channel (samples, with fraction) and intervals drawn for it so far, shape (n_channels,).

    Returns
    -------
    int
        Number of spikes; if it equals ``len(spikes)``, there may be more: call again.
    """
    n_spikes = ZERO
    while n_spikes < spikes.size:
        channel = ZERO
        for c in range(1, due.size):
            if int(due[c]) < int(due[channel]):
                channel = c
        if due[channel] >= stop_sample:
            break
        if n_drawn[channel] > 0:
            put_spike(spikes, n_spikes, int(due[channel]), channel, amplitude_uv)
            n_spikes += 1
        due[channel] += interval_samples * exponential(int(mix(seed, channel)), n_drawn[channel])
        n_drawn[channel] += 1
    return int(n_spikes)
