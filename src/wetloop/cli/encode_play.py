"""Plays a task at random through encoder and engine, on a rig that records nothing and does not answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from wetloop.cli.stimulation import STEPS_S
from wetloop.coding.codes import facts_of
from wetloop.core.plugin import seeded
from wetloop.core.types import Block, Signal, Tick
from wetloop.kernels.records import ARMED, FATES, RUNNING, SPIKE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.assembly import Players, Setting
    from wetloop.coding.codes import CodeFacts
    from wetloop.core.types import Outcome, Records, StimProgram
    from wetloop.engine.engine import Engine

    Moment = tuple[Tick, Outcome, StimProgram]

MOST_DECISIONS = 1000
"""Decisions after which a task that never shows anything is taken as it is."""


@dataclass(frozen=True)
class Preview:
    """A moment of a session, and the second that follows it.

    ``pulses`` are records of dtype ``wetloop.kernels.records.PULSE`` within a second from ``start_sample``, when the
    program takes effect.
    """

    setting: Setting
    codes: tuple[CodeFacts, ...]
    observation: dict[str, float]
    outcome: Outcome
    program: StimProgram
    start_sample: int
    pulses: Records

    @property
    def rates_hz(self) -> dict[int, float]:
        """Rate of each electrode that the program names, 0 where it is silent."""
        rates: dict[int, float] = {}
        for voice in self.program:
            on = voice.stop_sample > voice.start_sample
            for channel in self.setting.table.patterns[voice.patterns.first].channels:
                rates[channel] = self.setting.info.sampling_frequency / voice.period_samples if on else 0.0
        return rates

    @property
    def fates(self) -> dict[str, int]:
        """What became of the pulses."""
        counts = np.bincount(self.pulses["fate"], minlength=len(FATES)).tolist()
        return {fate: n for fate, n in zip(FATES, counts, strict=True) if n}


def play(setting: Setting, seconds: float) -> Preview:
    """Play for some seconds, take the next moment at which something is shown, and go on for one second."""
    from wetloop.assembly import players

    with players(setting) as parts:
        return _played(setting, parts, seconds)


def _played(setting: Setting, parts: Players, seconds: float) -> Preview:
    from wetloop.assembly import engine_of

    decision_ms = setting.config.decision_ms
    engine = engine_of(replace(setting, info=replace(setting.info, signal=Signal.SPIKES), reflex=None))
    moments = _moments(setting, parts, engine)
    tick, outcome, program = _look(moments, math.ceil(1000 * seconds / decision_ms))
    second = round(setting.info.sampling_frequency)
    pulses = [engine.pulses.take()]
    for later, _, _ in moments:
        pulses.append(engine.pulses.take())
        if later.stop_sample >= tick.plan_sample + second:
            break
    every = np.concatenate(pulses)
    inside = (every["sample_index"] >= tick.plan_sample) & (every["sample_index"] < tick.plan_sample + second)
    observation = dict(zip(parts.task.observation_names, outcome.observation.tolist(), strict=True))
    return Preview(setting, facts_of(parts.encoder), observation, outcome, program, tick.plan_sample, every[inside])


def _look(moments: Iterator[Moment], first: int) -> Moment:
    """Return the first moment from this decision on at which the game goes on and something is shown."""
    late = islice(moments, max(0, first - 1), first + MOST_DECISIONS)
    moment = next(late)
    while not (moment[2] and _live(moment[1])):
        following = next(late, None)
        if following is None:
            return moment
        moment = following
    return moment


def _live(outcome: Outcome) -> bool:
    return outcome.playing and not (outcome.terminated or outcome.truncated)


def _moments(setting: Setting, parts: Players, engine: Engine) -> Iterator[Moment]:
    """Yield decision after decision of a player who changes its mind now and then."""
    rng, plan = seeded(setting.config.seed, "encode preview"), setting.plan
    change = setting.config.decision_ms / 1000 / STEPS_S
    for state in (ARMED, RUNNING):
        engine.change_state(state)
    index, action = 0, np.zeros(len(parts.task.action_names))
    while True:
        tick = Tick(index, index * plan.decision, (index + 1) * plan.decision, (index + 1) * plan.decision + plan.ahead)
        _advance(engine, tick, setting.info.frame_samples, setting.info.n_channels)
        if rng.random() < change:
            action = rng.uniform(-1, 1, len(action))
        outcome = parts.task.step(action, tick)
        program = parts.encoder.encode(outcome, tick)
        engine.submit(program, tick.stop_sample + plan.lease)
        yield tick, outcome, program
        index += 1


def _advance(engine: Engine, tick: Tick, frame_samples: int, n_channels: int) -> None:
    """Give the engine a decision's frames without a spike."""
    nothing, no_spikes = np.zeros((0, n_channels), np.int16), np.zeros(0, SPIKE)
    for start in range(tick.start_sample, tick.stop_sample, frame_samples):
        engine.advance(Block(start, frame_samples, nothing, no_spikes), start + frame_samples)
