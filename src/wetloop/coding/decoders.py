"""Decoders: spikes of the motor regions, as an action.

Plain arithmetic only: mathematical libraries differ in the last bit, and a replay must give the same action
anywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.random import LN2

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.decoder_config import RegionRatioConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch


class RegionRatio:
    """Scores the log ratio of two regions' smoothed rates against its own slow mean and spread.

    The action is positive while region 0 is more active than usual: a standard score, clipped to [-1, 1].
    A plain difference of counts would stick to a wall, because bursts dominate its mean.
    """

    def __init__(self, config: RegionRatioConfig, context: BuildContext) -> None:
        self._column = context.layout.regions + 1
        self._columns = context.layout.n_regions + 1
        self._window_s = context.decision_samples / context.info.sampling_frequency
        self._fast = self._window_s / (config.smoothing_ms / 1000 + self._window_s)
        self._slow = self._window_s / (config.gain_s + self._window_s)
        self._floor_hz = config.floor_hz
        self._rates_hz = (0.0, 0.0)
        self._mean, self._variance = 0.0, 0.1

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(1)
        first, second = self._smooth(*self._counts(batch))
        above = ln((self._floor_hz + first) / (self._floor_hz + second)) - self._mean
        self._mean += self._slow * above
        above -= self._slow * above
        self._variance += self._slow * (above * above - self._variance)
        return np.array((min(1.0, max(-1.0, above / math.sqrt(self._variance))),))

    def _counts(self, batch: SpikeBatch) -> tuple[int, int]:
        if not len(batch.spikes):
            return 0, 0
        counts = np.bincount(self._column[batch.spikes["channel_index"]], minlength=self._columns)
        return int(counts[1]), int(counts[2])

    def _smooth(self, first: int, second: int) -> tuple[float, float]:
        a, b = self._rates_hz
        self._rates_hz = (
            a + self._fast * (first / self._window_s - a),
            b + self._fast * (second / self._window_s - b),
        )
        return self._rates_hz


def ln(x: float) -> float:
    """Return the natural logarithm of a positive number, the same bits on every machine."""
    fraction, exponent = math.frexp(x)
    if fraction < 0.7071067811865476:
        fraction, exponent = 2 * fraction, exponent - 1
    z = (fraction - 1) / (fraction + 1)  # ln x = 2 artanh z + exponent ln 2, |z| <= 0.1716
    z2 = z * z
    total = 0.0
    for k in (21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1):
        total = total * z2 + 1 / k
    return 2 * z * total + exponent * LN2
