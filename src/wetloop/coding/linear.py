"""The linear decoder. Its sums are taken in order: libraries of linear algebra differ in the last bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.coding.activity import ChannelRates, window_s
from wetloop.coding.decoder_config import named
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.linear_config import LinearWeights
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch


class LinearDecoder:
    """Adds up the channels' smoothed rates times their weights, clipped to [-1, 1]."""

    def __init__(self, weights: LinearWeights, context: BuildContext) -> None:
        _check(weights, context)
        self._rates = ChannelRates(
            weights.channels,
            context.info.n_channels,
            window_s(context),
            smoothing_ms=weights.smoothing_ms,
            lags=weights.lags,
            lag_ms=weights.lag_ms,
        )
        self._weights, self._intercept = np.array(weights.weights), np.array(weights.intercept)

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(len(self._intercept))
        terms = self._weights * self._rates.update(batch.spikes)
        values = self._intercept + np.add.accumulate(terms, axis=1)[:, -1]
        clipped: npt.NDArray[np.float64] = np.minimum(1.0, np.maximum(-1.0, values))
        return clipped


def _check(weights: LinearWeights, context: BuildContext) -> None:
    """Refuse weights that were fitted to other actions or other electrodes."""
    regions, names = context.layout.regions, context.action_names
    if len(weights.outputs) != max(1, len(names)) or (
        weights.target == "action" and names and weights.outputs != names
    ):
        raise ConfigError(
            f"decoder linear was fitted to {', '.join(weights.outputs)}, but the task takes {named(context)}: fit it "
            "to recordings of this task, or make it a part of combined that names its actions"
        )
    outside = [c for c in weights.channels if c >= len(regions) or regions[c] < 0]
    if outside:
        raise ConfigError(
            f"decoder linear was fitted to channels that lie in no motor region of this layout, such as {outside[0]}: "
            "fit it to recordings with the same layout"
        )
