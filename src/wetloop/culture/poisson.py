"""A rig whose channels spike at random: no culture, nothing to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.plugin import seeded
from wetloop.core.types import Block, Signal
from wetloop.culture.rig import rig_info
from wetloop.kernels.poisson import draw_spikes
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from wetloop.core.guard import PatternTable
    from wetloop.culture.config import PoissonConfig

NOMINAL_UV = -58.0
"""Amplitude that every spike is given, uV."""


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
        self._interval = config.sampling_frequency_hz / config.rate_hz
        self._next = np.zeros(self.info.n_channels)
        self._drawn = np.zeros(self.info.n_channels, np.int64)
        self._start = 0
        self._room = 64
        draw_spikes(self._seed, self._interval, self._next, self._drawn, 0, np.zeros(0, SPIKE), NOMINAL_UV)

    def open(self) -> None:
        """Nothing to connect."""

    def read(self) -> Block:
        start, n = self._start, self.info.packet_samples
        self._start += n
        return Block(start, n, np.empty((n, 0), np.int16), self._spikes_until(self._start))
