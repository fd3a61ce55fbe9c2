"""A rig whose channels spike at random: no culture, nothing that could answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.plugin import seeded
from wetloop.core.types import Block, Signal
from wetloop.culture.rig import rig_info
from wetloop.kernels.poisson import draw_spikes
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.culture.config import PoissonConfig

AMPLITUDE_UV = -58.0
"""What every spike is given."""
ROOM = 256


class PoissonSource:
    """Independent Poisson spikes per channel; stimulation is accepted and goes nowhere.

    Parameters
    ----------
    config
        Rate, electrodes and packets.
    seed
        The session's seed.
    """

    def __init__(self, config: PoissonConfig, seed: int) -> None:
        self.info = rig_info(config, Signal.SPIKES, 1.0, reacts=False)
        self._seed = int(seeded(seed, "poisson").integers(1 << 63))
        self._interval_samples = config.sampling_frequency_hz / config.rate_hz
        self._due = np.zeros(self.info.n_channels)
        self._n_drawn = np.zeros(self.info.n_channels, np.int64)
        self._start_sample = 0

    def open(self) -> None:
        """Draw the first spike of each channel."""
        self._draw(0)

    def read(self) -> Block:
        """Return the next packet."""
        start, n = self._start_sample, self.info.packet_samples
        self._start_sample += n
        return Block(start, n, np.empty((n, 0), np.int16), self._draw(self._start_sample))

    def prepare(self, table: PatternTable) -> None:
        """Accept any table."""

    def trigger(self, pattern: int, at_sample: int) -> None:
        """Deliver nothing."""

    def silence(self) -> None:
        """Stay as silent as before."""

    def close(self) -> None:
        """Hold nothing."""

    def _draw(self, stop_sample: int) -> npt.NDArray[np.void]:
        parts: list[npt.NDArray[np.void]] = []
        while not parts or len(parts[-1]) == ROOM:
            spikes = np.zeros(ROOM, SPIKE)
            n = draw_spikes(
                self._seed,
                self._interval_samples,
                self._due,
                self._n_drawn,
                stop_sample,
                AMPLITUDE_UV,
                spikes,
            )
            parts.append(spikes[:n])
        return np.concatenate(parts)
