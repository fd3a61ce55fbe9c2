"""The encoder that plays the pulses which a task announces, each at its sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.coding.codes import CodeFacts, refuse_excess
from wetloop.coding.elements import index_of
from wetloop.core.errors import ConfigError
from wetloop.core.types import Answer, Kind, Priority, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from wetloop.coding.cued_config import CuedConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick

NEVER = -(1 << 62)


class CuedEncoder:
    """Reads from the observation when a pulse is due, and plans it."""

    def __init__(self, config: CuedConfig, context: BuildContext) -> None:
        names, self._info = list(config.pulses), context.info
        self._indices = [index_of(name, context.observation_names, f"pulses.{name}") for name in names]
        self._patterns = [context.table.find(f"cued {name}") for name in names]
        self._apart = context.info.sampling_frequency / config.max_rate_hz
        self._facts = _described(config, context)
        refuse_excess([self._facts], context)
        self._voices = context.voices.take(len(names))
        self._last = [NEVER] * len(names)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        if outcome.terminated or outcome.truncated or not outcome.playing or outcome.answer != Answer.FRESH:
            return ()
        observation = outcome.observation.tolist()
        due_ms = [observation[i] for i in self._indices]
        return tuple(self._pulse(k, ms, tick) for k, ms in enumerate(due_ms) if ms > 0 and self._allowed(k, ms, tick))

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of the code."""
        return (self._facts,)

    def _allowed(self, k: int, ms: float, tick: Tick) -> bool:
        return tick.stop_sample + self._info.samples(ms) >= self._last[k] + self._apart

    def _pulse(self, k: int, ms: float, tick: Tick) -> VoiceSetting:
        at = tick.stop_sample + self._info.samples(ms)
        if at < tick.plan_sample:
            plan_ms = (tick.plan_sample - tick.stop_sample) / self._info.sampling_frequency * 1000
            raise ConfigError(
                f"the task announces a pulse {ms:g} ms ahead, but programs take effect {plan_ms:g} ms after a "
                f"decision: raise task.ahead_ms to at least {plan_ms:g}, or lower plan_ms"
            )
        self._last[k] = at
        return VoiceSetting(
            self._voices[k], self._patterns[k], Kind.SENSORY, Priority.SENSORY, Update.REPLACE, Timing.REGULAR,
            at, at + 1, self._apart,
        )  # fmt: skip


def _described(config: CuedConfig, context: BuildContext) -> CodeFacts:
    channels = tuple(dict.fromkeys(channel for pulse in config.pulses.values() for channel in pulse.electrodes))
    at_once, sample_ms = sum(len(p.electrodes) for p in config.pulses.values()), 1000 / context.info.sampling_frequency
    entries = [context.table.find(f"cued {name}").first for name in config.pulses]
    return CodeFacts(
        kind=config.kind,
        curves=(),
        min_rate_hz=config.max_rate_hz,
        max_rate_hz=config.max_rate_hz,
        channels=channels,
        at_once=at_once,
        largest_total_hz=at_once * config.max_rate_hz,
        charge_nc=max(float(context.table.charge_nc[entry]) for entry in entries),
        decision_ms=context.decision_samples * sample_ms,
        hold_ms=0.0,
        plan_ms=context.plan_samples * sample_ms,
        place=", ".join(config.pulses),
    )
