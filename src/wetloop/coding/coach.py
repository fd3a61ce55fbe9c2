"""The coach: judges trials, decides when to train, and learns which pair of electrodes is worth training.

Plain arithmetic only, so that a replay trains as the session did.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from wetloop.coding.coach_config import BACKGROUND, TRAINING
from wetloop.coding.decoders import ln
from wetloop.coding.feedback import NOTHING, VOICES
from wetloop.core.types import Kind, Priority, Response, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from wetloop.coding.answers import Train
    from wetloop.coding.coach_config import CoachConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, PatternSet, StimProgram, Tick

LEAST_SPREAD = 1e-6
"""Scores that never differ must not make a surprise endless."""


class Given(NamedTuple):
    """What answers a trial: training of a pair, background, or neither."""

    pair: int | None = None
    background: bool = False


class Judge:
    """Remembers the scores of trials: whether they are poor, and how much a new one surprises."""

    def __init__(self, config: CoachConfig) -> None:
        self._scores: deque[float] = deque(maxlen=max(config.compared_trials, config.recent_trials))
        self._recent, self._goal = config.recent_trials, config.goal

    def surprise(self, score: float) -> float:
        """Return how far a score lies over the mean of those before, in their standard deviations; remember it."""
        before = list(self._scores)
        self._scores.append(score)
        if len(before) < 2:
            return 0.0
        mean = sum(before) / len(before)
        variance = sum((x - mean) * (x - mean) for x in before) / len(before)
        return (score - mean) / max(LEAST_SPREAD, math.sqrt(variance)) if score != mean else 0.0

    def poor(self) -> bool:
        """Return whether the recent trials are poor; too few are not."""
        scores = list(self._scores)
        if len(scores) < self._recent:
            return False
        goal = sum(scores) / len(scores) if self._goal is None else self._goal
        return sum(scores[-self._recent :]) / self._recent < goal


class Values:
    """The value of each pair: an exponential mean of the surprise of the trials after it was trained."""

    def __init__(self, n_pairs: int, config: CoachConfig, context: BuildContext) -> None:
        self._values, self._rng = [0.0] * n_pairs, context.rng("coach")
        self._rate, self._temperature = config.learning_rate, config.temperature
        self._adaptive = config.choice == "adaptive"

    def learn(self, pair: int, surprise: float) -> None:
        """Take in what the trial after a training was worth."""
        self._values[pair] += self._rate * (surprise - self._values[pair])

    def choose(self) -> int:
        """Return a pair: the largest value with Gumbel noise, a draw from the softmax of values (Gumbel 1954)."""
        uniform = (self._rng.integers(1, 1 << 53, len(self._values)) / (1 << 53)).tolist()
        noise = [-ln(-ln(u)) for u in uniform]
        worth = [value / self._temperature if self._adaptive else 0.0 for value in self._values]
        return max(range(len(noise)), key=lambda k: worth[k] + noise[k])


class Coach:
    """Answers the end of a trial with training, background or nothing; the task pauses alike in all arms."""

    def __init__(self, config: CoachConfig, context: BuildContext) -> None:
        self._config, self._judge = config, Judge(config)
        self._values = Values(len(config.pairs), config, context)
        self._rng = context.rng("coach yoked")
        self._train, calm = config.training(config.pairs[0]).played(context.info, None), config.calm()
        self._calm = calm.played(context.info, None) if calm else None
        self._patterns: list[PatternSet] = []
        self._background: PatternSet | None = None
        if config.choice != "none":
            self._patterns = [context.table.find(f"{TRAINING} {k}") for k in range(len(config.pairs))]
            names = [f"{BACKGROUND} {k}" for k in range(len(config.electrodes))]
            self._background = context.table.find(*names) if calm else None
        self._score, self._last = 0.0, Given()
        self._earned: list[Given] = []

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        self._score += outcome.reward
        if not any(event in self._config.trial_events for event in outcome.events):
            calm = any(event in self._config.background_events for event in outcome.events)
            return Response(self._program(Given(background=True), tick.plan_sample)) if calm else NOTHING
        surprise, self._score = self._judge.surprise(self._score), 0.0
        if self._last.pair is not None:
            self._values.learn(self._last.pair, surprise)
        self._last = self._given()
        pauses = self._config.hold and self._last.pair is not None
        hold = tick.plan_sample + self._train.n_samples - tick.stop_sample if pauses else 0
        return Response(self._program(self._last, tick.plan_sample), hold)

    def _given(self) -> Given:
        """Return what this trial earns; yoked, what was earned by any trial so far."""
        earned = Given(self._values.choose()) if self._judge.poor() else Given(background=self._calm is not None)
        if self._config.choice != "yoked":
            return earned
        self._earned.append(earned)
        return self._earned[int(self._rng.integers(len(self._earned)))]

    def _program(self, given: Given, start: int) -> StimProgram:
        if self._config.choice == "none":
            return ()
        if given.pair is not None:
            off = self._setting(Kind.RANDOM, self._background, self._calm, start)
            on = self._setting(Kind.PREDICTABLE, self._patterns[given.pair], self._train, start)
            return (*(setting._replace(stop_sample=start) for setting in off), *on)
        return self._setting(Kind.RANDOM, self._background, self._calm, start) if given.background else ()

    def _setting(self, kind: Kind, patterns: PatternSet | None, train: Train | None, start: int) -> StimProgram:
        if patterns is None or train is None:
            return ()
        seed = int(self._rng.integers(1 << 62)) if train.timing == Timing.POISSON else 0
        return (
            VoiceSetting(
                VOICES[kind], patterns, kind, Priority.FEEDBACK, Update.REPLACE, train.timing,
                start, start + train.n_samples, train.period_samples, seed,
            ),
        )  # fmt: skip
