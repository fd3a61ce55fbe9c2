"""Control decoders: the configured decoder, shown something else than the culture's spikes.

They answer "who plays, the cells or the machine?": stimulation, task, feedback and recording stay as they are, and
the recording holds the culture's true spikes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from wetloop.coding.activity import share, window_s
from wetloop.coding.decoders import ln
from wetloop.core.plugin import DecoderConfig
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from wetloop.core.plugin import BuildContext
    from wetloop.core.protocols import Decoder
    from wetloop.core.types import Records, SpikeBatch

RUNNING_S = 10.0
"""Time constant of the rates that Poisson spikes follow, s: longer than a burst, shorter than a session's drift."""

Control = Literal["zero_spikes", "poisson_spikes", "shuffled_channels", "random_actions"]


class ControlConfig(DecoderConfig):
    """Puts a control around a decoder. Made by the condition of a session, never written in a configuration."""

    kind: Literal["control"] = "control"
    control: Control
    """What the decoder is shown, or what replaces it."""
    decoder: DecoderConfig
    """The decoder."""

    def gives_scores(self) -> bool:
        return self.decoder.gives_scores()

    def fitted(self) -> bool:
        return self.control != "random_actions" and self.decoder.fitted()

    def build(self, context: BuildContext) -> Decoder:
        if self.control == "random_actions":
            return RandomActions(context)
        disguise = DISGUISES[self.control](context)
        return Shown(self.decoder.build(context), disguise)


class Disguise(Protocol):
    """Replaces the spikes of one window."""

    def shown(self, batch: SpikeBatch) -> Records:
        """Return what the decoder is to see, ordered by ``known_sample``."""


class Shown:
    """A decoder that sees what a disguise makes of the spikes; held windows, which it ignores, change nothing."""

    def __init__(self, decoder: Decoder, disguise: Disguise) -> None:
        self._decoder, self._disguise = decoder, disguise

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        spikes = np.zeros(0, SPIKE) if held else self._disguise.shown(batch)
        return self._decoder.decode(batch._replace(spikes=spikes), held=held)


class NoSpikes:
    """Shows silence."""

    def __init__(self, context: BuildContext) -> None:
        _ = context

    def shown(self, batch: SpikeBatch) -> Records:
        _ = batch
        return np.zeros(0, SPIKE)


class ShuffledChannels:
    """Shows every spike at its time, on the channel that a new random permutation in each window puts it."""

    def __init__(self, context: BuildContext) -> None:
        self._rng, self._n_channels = context.rng("control"), context.info.n_channels

    def shown(self, batch: SpikeBatch) -> Records:
        spikes = batch.spikes.copy()
        spikes["channel_index"] = self._rng.permutation(self._n_channels)[spikes["channel_index"]]
        return spikes


class PoissonSpikes:
    """Shows independent Poisson spikes on each channel, at the culture's running rate there.

    Until ``RUNNING_S`` has been played, the rate is the mean of all that was seen. A window's own spikes count for the
    next ones only.
    """

    def __init__(self, context: BuildContext) -> None:
        self._rng = context.rng("control")
        self._mean = np.zeros(context.info.n_channels)
        self._amplitude_uv = np.zeros(context.info.n_channels, np.float32)
        self._slow = share(window_s(context), RUNNING_S)
        self._seen = 0

    def shown(self, batch: SpikeBatch) -> Records:
        made = self._drawn(batch)
        self._follow(batch.spikes)
        return made

    def _drawn(self, batch: SpikeBatch) -> Records:
        """Draw all channels as one process: its spikes fall on a channel in proportion to the channel's rate."""
        until = np.add.accumulate(self._mean)
        times = self._times(float(until[-1]))
        spikes = np.zeros(len(times), SPIKE)
        channel = np.searchsorted(until, self._rng.random(len(times)) * until[-1], side="right")
        spikes["channel_index"] = np.minimum(channel, len(until) - 1)
        spikes["known_sample"] = [batch.start_sample + int(t * (batch.stop_sample - batch.start_sample)) for t in times]
        spikes["sample_index"] = spikes["known_sample"]
        spikes["amplitude_uv"] = self._amplitude_uv[spikes["channel_index"]]
        return spikes

    def _times(self, mean: float) -> list[float]:
        """Return times in [0, 1) of a Poisson process with this mean number of events."""
        times: list[float] = []
        if mean <= 0:
            return times
        at = self._interval(mean)
        while at < 1:
            times.append(at)
            at += self._interval(mean)
        return times

    def _interval(self, mean: float) -> float:
        return -ln(1.0 - self._rng.random()) / mean

    def _follow(self, spikes: Records) -> None:
        self._seen += 1
        counts = np.bincount(spikes["channel_index"], minlength=len(self._mean))
        self._mean += max(self._slow, 1 / self._seen) * (counts - self._mean)
        self._amplitude_uv[spikes["channel_index"]] = spikes["amplitude_uv"]


class RandomActions:
    """Ignores all spikes: every action is drawn anew in each decision, uniformly from [-1, 1)."""

    def __init__(self, context: BuildContext) -> None:
        self._rng, self._n_actions = context.rng("control"), max(1, len(context.action_names))

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        _ = batch
        return np.zeros(self._n_actions) if held else 2 * self._rng.random(self._n_actions) - 1


DISGUISES: dict[str, Callable[[BuildContext], Disguise]] = {
    "zero_spikes": NoSpikes,
    "poisson_spikes": PoissonSpikes,
    "shuffled_channels": ShuffledChannels,
}
