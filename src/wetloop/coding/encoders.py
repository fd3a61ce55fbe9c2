"""Encoders: what the task shows, as settings of the sensory voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.core.types import Kind, Priority, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from wetloop.coding.encoder_config import PlaceRateConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, PatternSet, StimProgram, Tick

SENSORY_VOICE = 0


class PlaceRateEncoder:
    """Codes a place by the electrode, a distance by the rate of one train; renewing it keeps its phase."""

    def __init__(self, config: PlaceRateConfig, context: BuildContext) -> None:
        self._config = config
        self._places = [context.table.find(f"sensory {i}") for i in range(len(context.layout.sensory))]
        self._places_per_unit = len(self._places) / (config.place_high - config.place_low)
        self._sampling_frequency = context.info.sampling_frequency
        self._hold_samples = context.info.samples(config.hold_ms)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        config, start = self._config, tick.plan_sample
        if outcome.terminated or outcome.truncated or not outcome.playing:
            return (self._setting(self._places[0], start, start, self._sampling_frequency / config.min_rate_hz),)
        observation = outcome.observation.tolist()
        rate_hz = self.rate_hz(observation[config.distance_index])
        place = observation[config.place_index]
        if config.reference_index is not None:
            place -= observation[config.reference_index]
        period_samples = self._sampling_frequency / rate_hz
        return (self._setting(self._places[self.place(place)], start, start + self._hold_samples, period_samples),)

    def rate_hz(self, distance: float) -> float:
        """Return the rate at a distance, between the least and the largest."""
        config = self._config
        nearness = min(1.0, max(0.0, (config.far - distance) / (config.far - config.near)))
        return config.min_rate_hz + (config.max_rate_hz - config.min_rate_hz) * nearness

    def place(self, position: float) -> int:
        """Return the index of the electrode in whose range a position lies; the outer ones have no end."""
        return min(len(self._places) - 1, max(0, int((position - self._config.place_low) * self._places_per_unit)))

    @staticmethod
    def _setting(patterns: PatternSet, start: int, stop: int, period_samples: float) -> VoiceSetting:
        return VoiceSetting(
            SENSORY_VOICE, patterns, Kind.SENSORY, Priority.SENSORY, Update.KEEP_PHASE, Timing.REGULAR,
            start, stop, period_samples,
        )  # fmt: skip


class NoEncoder:
    """Shows nothing."""

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        _ = outcome, tick
        return ()
