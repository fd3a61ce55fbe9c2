"""What RHX makes of what its controller delivers: bursts, then writes of whole blocks and the spikes of their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.core.types import Signal
from wetloop_drivers.intan_rhx_wire import (
    MICROVOLTS_PER_BIT,
    STIM_NEGATIVE,
    ZERO_WORD,
    encode_blocks,
    encode_spikes,
    to_words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from wetloop.core.guard import Pulse
    from wetloop.core.types import Block, RigInfo, Samples
    from wetloop_drivers.intan_rhx_wire import Words

DC_ZERO = 512


class Outputs(NamedTuple):
    """What a run sends.

    Attributes
    ----------
    bands
        Channel and band of each word of a frame.
    spike_channels
        Channels whose spikes are sent.
    thresholds_uv
        Spike threshold of each channel, uV.
    burst_samples
        Samples that are taken from the controller at once.
    write_samples
        Samples that are written at once.
    """

    bands: tuple[tuple[int, str], ...]
    spike_channels: frozenset[int]
    thresholds_uv: npt.NDArray[np.float64]
    burst_samples: int
    write_samples: int


class _Flowing(NamedTuple):
    """A pulse: when it begins on the dish's clock, where, and its STIM words."""

    at_sample: int
    channels: tuple[int, ...]
    words: Words


def stim_words(pulse: Pulse, step_ua: float, sampling_frequency: float) -> Words:
    """Return the STIM words of a pulse, sample by sample."""
    phases = (
        (pulse.first_amplitude, pulse.first_us),
        (0.0, pulse.interphase_us),
        (pulse.second_amplitude, pulse.second_us),
    )
    parts = []
    for amplitude, width_us in phases:
        word = round(abs(amplitude) / step_ua) | (STIM_NEGATIVE if amplitude < 0 else 0)
        parts.append(np.full(round(width_us * sampling_frequency / 1e6), word, np.uint16))
    return np.concatenate(parts)


class Acquisition:
    """One run of the controller; its clock starts at 0 with the first block.

    Attributes
    ----------
    sent_samples
        How far it has been sent.
    """

    def __init__(self, info: RigInfo, names: Sequence[str], outputs: Outputs) -> None:
        self._info, self._names, self._outputs = info, names, outputs
        self._origin: int | None = None
        self._pending: list[Block] = []
        self._n_pending = self.sent_samples = 0
        self._words = np.zeros((0, len(outputs.bands)), np.uint16)
        self._spikes: list[tuple[int, int]] = []
        self._flowing: list[_Flowing] = []
        self._before = np.zeros(info.n_channels, np.int16)

    def stimulated(self, at_sample: int, channels: tuple[int, ...], words: Words) -> None:
        """Show a pulse in the STIM words, from a sample on that is not delivered yet."""
        self._flowing.append(_Flowing(at_sample, channels, words))

    def take(self, block: Block) -> tuple[bytes, bytes] | None:
        """Take in a block; return what is to be written to the waveform and the spike port, if anything is now."""
        if self._origin is None:
            self._origin = block.start_sample
        self._pending.append(block)
        self._n_pending += block.n_samples
        if self._n_pending < self._outputs.burst_samples:
            return None
        self._take_burst()
        return self._write(self._origin)

    def _take_burst(self) -> None:
        """Turn whole bursts into words and spikes; what is left over waits."""
        blocks, start = self._pending, self._pending[0].start_sample
        n = self._n_pending // self._outputs.burst_samples * self._outputs.burst_samples
        shown = self._info.signal is Signal.SAMPLES
        samples = np.concatenate([b.samples for b in blocks]) if shown else np.zeros((self._n_pending, 0), np.int16)
        spikes = np.concatenate([b.spikes for b in blocks])
        due = spikes["known_sample"] < start + n
        self._n_pending -= n
        rest = blocks[-1]._replace(
            start_sample=start + n, n_samples=self._n_pending, samples=samples[n:], spikes=spikes[~due]
        )
        self._pending = [rest] if self._n_pending else []
        self._words = np.concatenate([self._words, self._words_of(start, samples[:n])])
        self._spikes += self._crossings(start, samples[:n]) if shown else _pairs(spikes[due])

    def _words_of(self, start: int, samples: Samples) -> Words:
        n = len(samples)
        words = np.full((n, len(self._outputs.bands)), ZERO_WORD, np.uint16)
        amplifier = to_words(samples) if samples.shape[1] else None
        for column, (channel, band) in enumerate(self._outputs.bands):
            if band == "Stim":
                words[:, column] = self._stim_column(start, n, channel)
            elif band == "DC":
                words[:, column] = DC_ZERO
            elif amplifier is not None:
                words[:, column] = amplifier[:, channel]
        self._flowing = [f for f in self._flowing if f.at_sample + len(f.words) > start + n]
        return words

    def _stim_column(self, start: int, n: int, channel: int) -> Words:
        column = np.zeros(n, np.uint16)
        for pulse in self._flowing:
            begin = pulse.at_sample - start
            first, stop = max(0, begin), min(n, begin + len(pulse.words))
            if channel in pulse.channels and first < stop:
                column[first:stop] = pulse.words[first - begin : stop - begin]
        return column

    def _crossings(self, start: int, samples: Samples) -> list[tuple[int, int]]:
        """Return (sample, channel) of what falls below each channel's threshold."""
        below = np.vstack([self._before[None], samples]) < self._outputs.thresholds_uv / MICROVOLTS_PER_BIT
        self._before = samples[-1]
        when, channels = np.nonzero(below[1:] & ~below[:-1])
        return list(zip((start + when).tolist(), channels.tolist(), strict=True))

    def _write(self, origin: int) -> tuple[bytes, bytes] | None:
        n = len(self._words) // self._outputs.write_samples * self._outputs.write_samples
        if not n:
            return None
        frames = encode_blocks(self.sent_samples, self._words[:n]) if self._outputs.bands else b""
        self._words = self._words[n:]
        self.sent_samples += n
        stop = origin + self.sent_samples
        due = sorted(s for s in self._spikes if origin <= s[0] < stop and s[1] in self._outputs.spike_channels)
        self._spikes = [spike for spike in self._spikes if spike[0] >= stop]
        at = np.array([sample - origin for sample, _ in due], np.int64)
        return frames, encode_spikes([self._names[channel] for _, channel in due], at)


def _pairs(spikes: npt.NDArray[np.void]) -> list[tuple[int, int]]:
    return list(zip(spikes["sample_index"].tolist(), spikes["channel_index"].tolist(), strict=True))
