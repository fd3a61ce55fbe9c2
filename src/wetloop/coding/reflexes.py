"""Example reflexes: copy one into a file of your own and name it in the configuration as ``function: FILE.py:NAME``.

A reflex is compiled by Numba; ``wetloop.engine.reflex`` tells what it is given and what it may return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AGAIN_AT = 0
SAMPLES_PER_MS = 7
MOST_SPIKES, PAUSE_MS = 8, 9
CHANNEL = 8


def burst_brake(now_sample: int, counts: npt.NDArray[np.int32], memory: npt.NDArray[np.float64]) -> int:
    """Ask for pattern 0 when too many spikes become known in one frame, then pause.

    Parameters of the configuration: the most spikes on the array in a frame that are left alone, and the pause, ms.
    Stimulation quiets bursts in culture: Wagenaar et al., J. Neurosci. 25, 680 (2005).
    """
    if now_sample < memory[AGAIN_AT]:
        return -1
    n_spikes = 0
    for channel in range(counts.size):
        n_spikes += counts[channel]
    if n_spikes <= memory[MOST_SPIKES]:
        return -1
    memory[AGAIN_AT] = now_sample + memory[PAUSE_MS] * memory[SAMPLES_PER_MS]
    return 0


def echo(_now_sample: int, counts: npt.NDArray[np.int32], memory: npt.NDArray[np.float64]) -> int:
    """Ask for pattern 0 in every frame with a spike on one channel, the first parameter of the configuration.

    With the pattern on another electrode this is activity-dependent stimulation: a spike here gives a pulse there
    (Jackson, Mavoori and Fetz, Nature 444, 56 (2006)).
    """
    return 0 if counts[int(memory[CHANNEL])] > 0 else -1
