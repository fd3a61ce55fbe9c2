"""The decoder of an animat: how much the culture fires, and where the centre of that activity lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from wetloop.core.layout import positions_um
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch


class CentreConfig(DecoderConfig):
    """Tells the number of spikes of a decision and the sums of their places, x to the right and y upwards.

    Places go from -1 to 1 over the longer side of the array. Sums over some decisions, divided by the number of spikes,
    are the centre of activity of Chao, Bakkum and Potter (PLoS Comput. Biol. 2008).
    """

    kind: Literal["centre"] = "centre"

    def build(self, context: BuildContext) -> Centre:
        return Centre(positions_um(context.info.probe))


class Centre:
    """Sums the places of spikes; in whole um, so that the sums are exact in any order.

    Parameters
    ----------
    where_um
        Position of each channel, um, y downwards, shape (n_channels, 2).
    """

    def __init__(self, where_um: npt.NDArray[np.float64]) -> None:
        low, high = where_um.min(axis=0), where_um.max(axis=0)
        from_centre = (2 * where_um - low - high) * np.array((1.0, -1.0))
        self._twice_um = np.rint(from_centre).astype(np.int64)
        self._scale = max(1.0, float((high - low).max()))

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(3)
        x, y = self._twice_um[batch.spikes["channel_index"]].sum(axis=0).tolist()
        return np.array((len(batch.spikes), x / self._scale, y / self._scale))
