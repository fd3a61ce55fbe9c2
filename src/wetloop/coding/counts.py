"""The plainest decoder: how often each channel fired, for an agent that decides by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch

Channel = Annotated[int, Field(ge=0)]


class CountsConfig(DecoderConfig):
    """Tells the task the number of spikes of each channel, instead of an action: the task is an agent."""

    kind: Literal["counts"] = "counts"
    channels: tuple[Channel, ...] | None = None
    """Channels that are told, in this order; by default all."""

    def build(self, context: BuildContext) -> Counts:
        channels = range(context.info.n_channels) if self.channels is None else self.channels
        if any(channel >= context.info.n_channels for channel in channels):
            raise ConfigError(
                f"decoder counts: channels go from 0 to {context.info.n_channels - 1}; {max(channels)} does not exist"
            )
        if len(channels) != len(context.action_names):
            raise ConfigError(
                f"decoder counts tells {len(channels)} channels, but the task takes {len(context.action_names)} "
                "values: name as many under decoder.channels, or let the agent take as many"
            )
        return Counts(np.array(channels, np.int64), context.info.n_channels)


class Counts:
    """Counts the spikes of each decision."""

    def __init__(self, channels: npt.NDArray[np.int64], n_channels: int) -> None:
        self._channels, self._n_channels = channels, n_channels

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(len(self._channels))
        counts = np.bincount(batch.spikes["channel_index"], minlength=self._n_channels)
        return counts[self._channels].astype(np.float64)
