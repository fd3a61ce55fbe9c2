"""Encoders of the observation: its elements as places and rates of trains."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wetloop.coding.codes import CodeFacts, Curve, refuse_excess
from wetloop.coding.elements import index_of, name_of
from wetloop.coding.trains import Trains, train

if TYPE_CHECKING:
    from wetloop.coding.encoder_config import PlaceRateConfig, RateConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick

VISIBLE = 0.5
"""What the element ``visible`` must reach."""


class PlaceRateEncoder:
    """Codes a place by the electrode, a distance by the rate of one train; renewing it keeps its phase."""

    def __init__(self, config: PlaceRateConfig, context: BuildContext) -> None:
        self._config, names = config, context.observation_names
        n = len(config.share(context.layout).sensory)
        self._places = [context.table.find(f"sensory {i}") for i in range(n)]
        self._places_per_unit = n / (config.place_high - config.place_low)
        self._sampling_frequency = context.info.sampling_frequency
        self._hold_samples = context.info.samples(config.hold_ms)
        self._distance = index_of(config.distance, names, "distance")
        self._place = index_of(config.place, names, "place")
        self._reference = None if config.reference is None else index_of(config.reference, names, "reference")
        self._visible = None if config.visible is None else index_of(config.visible, names, "visible")
        self._facts = self._described(context)
        refuse_excess([self._facts], context)
        (self._voice,) = context.voices.take(1)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        start = tick.plan_sample
        observation = outcome.observation.tolist()
        if outcome.terminated or outcome.truncated or not outcome.playing or not self._shown(observation):
            longest = self._sampling_frequency / self._config.min_rate_hz
            return (train(self._voice, self._places[0], start, start, longest),)
        rate_hz = self.rate_hz(observation[self._distance])
        place = observation[self._place]
        if self._reference is not None:
            place -= observation[self._reference]
        period = self._sampling_frequency / rate_hz
        return (train(self._voice, self._places[self.place(place)], start, start + self._hold_samples, period),)

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of the code."""
        return (self._facts,)

    def rate_hz(self, distance: float) -> float:
        """Return the rate at a distance, between the least and the largest, and at most the largest total."""
        config = self._config
        nearness = min(1.0, max(0.0, (config.far - distance) / (config.far - config.near)))
        rate_hz = config.min_rate_hz + (config.max_rate_hz - config.min_rate_hz) * nearness
        return rate_hz if config.max_total_hz is None else min(rate_hz, config.max_total_hz)

    def place(self, position: float) -> int:
        """Return the index of the electrode in whose range a position lies; the outer ones have no end."""
        return min(len(self._places) - 1, max(0, int((position - self._config.place_low) * self._places_per_unit)))

    def _shown(self, observation: list[float]) -> bool:
        return self._visible is None or observation[self._visible] >= VISIBLE

    def _described(self, context: BuildContext) -> CodeFacts:
        config, names = self._config, context.observation_names
        place = name_of(self._place, names)
        if self._reference is not None:
            place += f" - {name_of(self._reference, names)}"
        curve = Curve(name_of(self._distance, names), config.far, config.near)
        place += f", {config.place_low:g} to {config.place_high:g}"
        return replace(config.facts(context, (curve,), at_once=1), place=place)


class RateEncoder:
    """Codes each element by the rate of a train of its own."""

    def __init__(self, config: RateConfig, context: BuildContext) -> None:
        self._config, names = config, context.observation_names
        self._indices = [index_of(e.element, names, f"elements.{k}.element") for k, e in enumerate(config.elements)]
        curves = [Curve(name_of(i, names), e.low, e.high) for i, e in zip(self._indices, config.elements, strict=True)]
        self._facts = config.facts(context, tuple(curves))
        refuse_excess([self._facts], context)
        self._trains = Trains([context.table.find(name) for name in config.names()], config, context)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        if outcome.terminated or outcome.truncated or not outcome.playing:
            return self._trains.silence(tick)
        observation = outcome.observation.tolist()
        return self._trains.program(self.rates_hz([observation[i] for i in self._indices]), tick)

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of the code."""
        return (self._facts,)

    def rates_hz(self, values: list[float]) -> list[float]:
        """Return the rate of each value, between the least and the largest."""
        elements = zip(values, self._config.elements, strict=True)
        return [self._config.rate_hz((value - e.low) / (e.high - e.low)) for value, e in elements]


class NoEncoder:
    """Shows nothing."""

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        _ = outcome, tick
        return ()
