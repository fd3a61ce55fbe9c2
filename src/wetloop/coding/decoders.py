"""Decoders: spikes of the motor regions, as an action."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.config import RegionRatioConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch


class RegionRatio:
    """Scores the log ratio of two regions' smoothed rates against its own slow mean and spread.

    A plain difference of counts sticks to a wall, because bursts dominate its mean. The action is a standard score,
    clipped to [-1, 1]; it is positive while region 0 is more active than usual.
    """

    def __init__(self, config: RegionRatioConfig, context: BuildContext) -> None:
        self._column = context.layout.regions + 1
        self._window_s = context.decision_samples / context.info.sampling_frequency
        self._fast = self._window_s / (config.smoothing_ms / 1000 + self._window_s)
        self._slow = self._window_s / (config.gain_s + self._window_s)
        self._rates_hz = [config.floor_hz, config.floor_hz]
        self._floor_hz = config.floor_hz
        self._mean, self._variance = 0.0, 0.1

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(1)
        ratio = ln(self._smoothed(0, 0.0) / self._smoothed(1, 0.0))
        return np.array((ratio,))
