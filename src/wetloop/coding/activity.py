"""Rates of regions and of channels, smoothed from decision to decision.

Plain arithmetic only: mathematical libraries differ in the last bit, and a replay must give the same action
anywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wetloop.coding.decoders import ln

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from wetloop.coding.decoder_config import RegionScoresConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Records

LEAST_VARIANCE = 1e-4
"""Of a log rate: a region that never changes must not be thrown to the limit by its first spike."""
PRIOR_VARIANCE, PRIOR_S = 0.1, 1.0
"""A new baseline expects this variance as if it had seen it for so long, s."""


def share(window_s: float, time_constant_s: float) -> float:
    """Return how much of an exponential mean the newest window makes up."""
    return window_s / (time_constant_s + window_s)


class Mean:
    """An exponential mean that weighs all it has seen alike until its time constant has passed."""

    def __init__(self, window_s: float, time_constant_s: float) -> None:
        self._least, self._seen = share(window_s, time_constant_s), 0
        self.value = 0.0

    def update(self, value: float) -> float:
        """Take in the next value and return the mean."""
        self._seen += 1
        self.value += max(self._least, 1 / self._seen) * (value - self.value)
        return self.value


class Baseline:
    """Follows the slow mean and spread of a value, and scores the value against them."""

    def __init__(self, window_s: float, time_constant_s: float) -> None:
        self._mean = Mean(window_s, time_constant_s)
        self._least, self._seen = share(window_s, time_constant_s), PRIOR_S / window_s
        self._variance = PRIOR_VARIANCE

    def score(self, value: float) -> float:
        """Return the standard score of the next value."""
        above = value - self._mean.update(value)
        self._seen += 1
        self._variance += max(self._least, 1 / self._seen) * (above * above - self._variance)
        return above / math.sqrt(max(LEAST_VARIANCE, self._variance))


class RegionScores:
    """Scores the log of each region's smoothed rate against the region's own baseline."""

    def __init__(self, config: RegionScoresConfig, context: BuildContext) -> None:
        regions, self._window_s = range(context.layout.n_regions), window_s(context)
        self._column, self._columns = context.layout.regions + 1, context.layout.n_regions + 1
        self._floor_hz = config.floor_hz
        self._rates_hz = [Mean(self._window_s, config.smoothing_ms / 1000) for _ in regions]
        self._baselines = [Baseline(self._window_s, config.gain_s) for _ in regions]

    def update(self, spikes: Records) -> list[float]:
        """Take in the spikes of the next window and return one standard score per region."""
        counts = np.bincount(self._column[spikes["channel_index"]], minlength=self._columns)[1:].tolist()
        return [
            baseline.score(ln(self._floor_hz + rate_hz.update(count / self._window_s)))
            for baseline, rate_hz, count in zip(self._baselines, self._rates_hz, counts, strict=True)
        ]


class ChannelRates:
    """Smooths the rate of each chosen channel and remembers what it was some time ago.

    Parameters
    ----------
    channels
        Channels, in the order of the result.
    n_channels
        Number of channels of the rig.
    window_s
        Length of a decision, s.
    smoothing_ms
        Time constant of the rates, ms.
    lags, lag_ms
        How many points in time the result holds, and how far apart they lie (to the nearest decision), ms.
    """

    def __init__(
        self,
        channels: Sequence[int],
        n_channels: int,
        window_s: float,
        *,
        smoothing_ms: float,
        lags: int,
        lag_ms: float,
    ) -> None:
        self._column = np.zeros(n_channels, np.int64)
        self._column[list(channels)] = np.arange(1, len(channels) + 1)
        self._window_s, self._fast = window_s, share(window_s, smoothing_ms / 1000)
        apart = max(1, round(lag_ms / 1000 / window_s))
        self._past_hz = np.zeros(((lags - 1) * apart + 1, len(channels)))
        self._back = np.arange(lags) * apart
        self._newest = 0

    def update(self, spikes: Records) -> npt.NDArray[np.float64]:
        """Take in the spikes of the next window.

        Returns
        -------
        ndarray
            Rates, Hz, shape (lags * n_chosen,): those of now first, 0 from before the start.
        """
        rates_hz, size = self._past_hz[self._newest], len(self._past_hz)
        counts = np.bincount(self._column[spikes["channel_index"]], minlength=len(rates_hz) + 1)[1:]
        self._newest = (self._newest + 1) % size
        self._past_hz[self._newest] = rates_hz + self._fast * (counts / self._window_s - rates_hz)
        return self._past_hz[(self._newest - self._back) % size].ravel()


def window_s(context: BuildContext) -> float:
    """Return the length of a decision, s."""
    return context.decision_samples / context.info.sampling_frequency
