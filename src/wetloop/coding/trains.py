"""Regular trains side by side, one voice each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from wetloop.core.types import Kind, Priority, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import PatternSet, StimProgram, Tick

GOLDEN = 0.6180339887498949
"""Multiples of the golden ratio, less their whole part, are spread evenly however many there are."""
STRETCH = 1 + 1e-9
"""Keeps sums of rounded periods from coming out a sample short, where a rate lies on the guard's limit."""


def train(voice: int, patterns: PatternSet, start_sample: int, stop_sample: int, period_samples: float) -> VoiceSetting:
    """Return the setting of a sensory train that keeps its phase; one that stops where it starts is silent."""
    return VoiceSetting(
        voice, patterns, Kind.SENSORY, Priority.SENSORY, Update.KEEP_PHASE, Timing.REGULAR,
        start_sample, stop_sample, period_samples,
    )  # fmt: skip


class Pace(Protocol):
    """What a code says of its trains: largest rate of one and of all, Hz, and how long one goes on by itself, ms."""

    @property
    def max_rate_hz(self) -> float:
        """Largest rate of a train, Hz."""

    @property
    def max_total_hz(self) -> float | None:
        """Largest rate over all electrodes, Hz; None: no more than the trains make."""

    @property
    def hold_ms(self) -> float:
        """Length of a train that is not renewed, ms."""


class Trains:
    """Trains whose rates change and whose phases do not.

    Trains of one rate keep the distances at which they begin, so they begin out of step. The engine starts every voice
    a whole interval before its first pulse; a first train too short to fire, of another length for each voice, leaves
    each at another part of its interval. That takes one interval of the largest rate, once in a session.

    Parameters
    ----------
    patterns
        What each train plays.
    pace
        Hold, rates and largest total.
    context
        The session's.
    """

    def __init__(self, patterns: Sequence[PatternSet], pace: Pace, context: BuildContext) -> None:
        self._voices = context.voices.take(len(patterns))
        self._patterns = patterns
        self._widths = [len(context.table.patterns[p.first].channels) for p in patterns]
        self._sampling_frequency = context.info.sampling_frequency
        self._hold_samples = context.info.samples(pace.hold_ms)
        self._shortest_period = self._sampling_frequency / pace.max_rate_hz
        self._max_total_hz = pace.max_total_hz
        self._ready_sample: int | None = None

    def program(self, rates_hz: Sequence[float], tick: Tick) -> StimProgram:
        """Return the trains of one decision; a rate of 0 is silence. Too many pulses in all slow all trains alike."""
        if self._ready_sample is None:
            return self._prelude(tick.plan_sample)
        if tick.plan_sample < self._ready_sample:
            return ()
        slower = self._slower(rates_hz)
        return tuple(self._train(k, rate_hz / slower, tick.plan_sample) for k, rate_hz in enumerate(rates_hz))

    def silence(self, tick: Tick) -> StimProgram:
        """Return the setting that ends every train."""
        return self.program([0.0] * len(self._patterns), tick)

    def _slower(self, rates_hz: Sequence[float]) -> float:
        if self._max_total_hz is None:
            return 1.0
        total_hz = sum(width * rate_hz for width, rate_hz in zip(self._widths, rates_hz, strict=True))
        return max(1.0, total_hz / self._max_total_hz)

    def _train(self, k: int, rate_hz: float, start: int) -> VoiceSetting:
        if rate_hz <= 0:
            return train(self._voices[k], self._patterns[k], start, start, self._shortest_period)
        period = self._sampling_frequency / rate_hz * STRETCH
        return train(self._voices[k], self._patterns[k], start, start + self._hold_samples, period)

    def _prelude(self, start: int) -> StimProgram:
        """Return trains that leave every voice at another part of its interval, without a pulse."""
        period = self._shortest_period
        self._ready_sample = start + math.ceil(period)
        return tuple(
            train(voice, patterns, start, start + int(voice * GOLDEN % 1 * period), period)
            for voice, patterns in zip(self._voices, self._patterns, strict=True)
        )
