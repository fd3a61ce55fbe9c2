"""Configuration of the coach, a feedback rule that trains after poor trials; importing it is cheap."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from wetloop.coding.answers import PredictableAnswer, RandomAnswer, RandomConfig
from wetloop.core.plugin import FeedbackConfig

if TYPE_CHECKING:
    from wetloop.coding.coach import Coach
    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import RigInfo

Channel = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

TRAINING, BACKGROUND = "training", "background"


class CoachConfig(FeedbackConfig):
    """Answers a poor trial with a training train on a pair of electrodes, chosen by what trains did before.

    A trial ends with one of ``trial_events``; its score is the reward since the last one. The coach sees task and
    score, the culture its trains alone. After the organoids of Robbins et al. (Cell Reports 2026) and the patterned
    training of Bakkum, Chao and Potter (J. Neural Eng. 2008); how values are learned and how trains look is our own,
    simpler choice.
    """

    kind: Literal["coach"] = "coach"
    choice: Literal["adaptive", "random", "yoked", "none"] = "adaptive"
    """Which pair is trained: the more likely the better the next trials were; any, by chance; what was given before, at
    random, so that neither pair nor moment fits the trial; or none, though the task pauses all the same."""
    trial_events: tuple[str, ...] = Field(("fall",), min_length=1)
    """Events that end a trial."""
    electrodes: tuple[Channel, ...] = Field(min_length=2)
    """Channels of which every pair can be trained."""
    rate_hz: float = Field(20.0, gt=0)
    """Pulses per second of a training train, both electrodes together."""
    duration_ms: float = Field(500.0, gt=0)
    """Length of a training train, ms."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""
    recent_trials: int = Field(5, ge=1)
    """A trial is poor while the mean score of so many trials ..."""
    goal: float | None = Field(None, allow_inf_nan=False)
    """... is below this; by default ..."""
    compared_trials: int = Field(20, ge=1)
    """... below the mean score of so many trials."""
    learning_rate: float = Field(0.2, ge=0, le=1)
    """Share of the newest surprise (score over the mean of the compared trials) that enters a pair's value."""
    temperature: Positive = 0.2
    """How far the adaptive choice is left to chance: values are divided by it, in units of the scores' spread."""
    hold: bool = True
    """Hold the task until a training train has ended."""
    background: RandomConfig | None = None
    """Pulses after a trial that is not poor, each on one of ``electrodes``; by default none."""
    background_events: tuple[str, ...] = ()
    """Events that are no trials and are answered with background too: a pretest in the state of the session."""

    @model_validator(mode="after")
    def _trials_in_order(self) -> Self:
        if self.goal is None and self.recent_trials >= self.compared_trials:
            raise ValueError("recent_trials must be fewer than compared_trials, or a goal be given")
        if len(set(self.electrodes)) < len(self.electrodes):
            raise ValueError("electrodes names a channel twice")
        if self.background_events and self.background is None:
            raise ValueError("background_events are answered with background: say what it is")
        if both := set(self.background_events) & set(self.trial_events):
            raise ValueError(f"{', '.join(sorted(both))} stands in trial_events and in background_events")
        return self

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every pair of channels."""
        return tuple(combinations(self.electrodes, 2))

    def event_names(self) -> tuple[str, ...]:
        return (*self.trial_events, *self.background_events)

    def training(self, pair: tuple[int, ...]) -> PredictableAnswer:
        """Return the training train of a pair."""
        shared = {name: getattr(self, name) for name in ("rate_hz", "duration_ms", "amplitude_mv", "amplitude_ua")}
        return PredictableAnswer(electrodes=pair, **shared)

    def calm(self) -> RandomAnswer | None:
        """Return what a good trial is answered with."""
        if self.background is None:
            return None
        return RandomAnswer(electrodes=self.electrodes, **self.background.model_dump())

    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        if self.choice == "none":
            return {}
        made: dict[str, Pattern] = {}
        for k, pair in enumerate(self.pairs):
            made |= self.training(pair).patterns(f"{TRAINING} {k}", layout, self.phase_us, unit)
        calm = self.calm()
        return made | (calm.patterns(BACKGROUND, layout, self.phase_us, unit) if calm else {})

    def most_in_a_second(self, layout: Layout, info: RigInfo) -> dict[str, float]:
        calm = self.calm()
        least = calm.most_in_a_second(layout, info) if calm else 0.0
        most = max(least, self.training(self.pairs[0]).most_in_a_second(layout, info))
        return dict.fromkeys(self.event_names(), 0.0 if self.choice == "none" else most)

    def build(self, context: BuildContext) -> Coach:
        from wetloop.coding.coach import Coach

        return Coach(self, context)
