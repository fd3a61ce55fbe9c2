"""The encoder that plays what an agent asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.coding.codes import CodeFacts, Curve, refuse_excess
from wetloop.coding.elements import index_of
from wetloop.coding.trains import Trains
from wetloop.core.types import Answer

if TYPE_CHECKING:
    from wetloop.coding.requested_config import RequestedConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick


class RequestedEncoder:
    """Reads rates of prepared patterns from the observation."""

    def __init__(self, config: RequestedConfig, context: BuildContext) -> None:
        self._config, wanted = config, list(config.pulses)
        self._indices = [index_of(name, context.observation_names, f"pulses.{name}") for name in wanted]
        self._facts = _described(config, context)
        refuse_excess([self._facts], context)
        self._trains = Trains([context.table.find(f"requested {name}") for name in wanted], config, context)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        if outcome.terminated or outcome.truncated or not outcome.playing:
            return self._trains.silence(tick)
        if outcome.answer != Answer.FRESH:
            return ()
        observation = outcome.observation.tolist()
        return self._trains.program([self.rate_hz(observation[i]) for i in self._indices], tick)

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of the code."""
        return (self._facts,)

    def rate_hz(self, requested_hz: float) -> float:
        """Return the rate that a request is given."""
        return 0.0 if requested_hz < self._config.min_rate_hz else min(requested_hz, self._config.max_rate_hz)


def _described(config: RequestedConfig, context: BuildContext) -> CodeFacts:
    pulses = config.pulses
    channels = tuple(channel for pulse in pulses.values() for channel in pulse.electrodes)
    largest_hz, sample_ms = len(channels) * config.max_rate_hz, 1000 / context.info.sampling_frequency
    entries = [context.table.find(f"requested {name}").first for name in pulses]
    return CodeFacts(
        kind=config.kind,
        curves=tuple(Curve(name, config.min_rate_hz, config.max_rate_hz, config.min_rate_hz) for name in pulses),
        min_rate_hz=config.min_rate_hz,
        max_rate_hz=config.max_rate_hz,
        channels=channels,
        at_once=len(channels),
        largest_total_hz=largest_hz if config.max_total_hz is None else min(largest_hz, config.max_total_hz),
        charge_nc=max(float(context.table.charge_nc[entry]) for entry in entries),
        decision_ms=context.decision_samples * sample_ms,
        hold_ms=config.hold_ms,
        plan_ms=context.plan_samples * sample_ms,
    )
