"""Configuration of the built-in feedback rules; importing it is cheap, the objects are imported when they are built.

Amplitudes exist twice: the rig's unit decides which is used. Rates, durations and voltages follow DishBrain
(Kagan et al., Neuron 2022); the currents keep its ratio of two, within the range of a CL1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import FeedbackConfig

if TYPE_CHECKING:
    from wetloop.coding.feedback import DishBrainFeedback, NoFeedback, SilentFeedback, YokedFeedback
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext


class PredictableConfig(BaseModel):
    """The answer to what is to be reinforced: a regular train on all sensory electrodes together."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rate_hz: float = Field(100.0, gt=0)
    """Pulses per second."""
    duration_ms: float = Field(100.0, gt=0)
    """Length of the train, ms."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""


class RandomConfig(BaseModel):
    """The answer to what is to be avoided: pulses at Poisson times, each on a random sensory electrode."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rate_hz: float = Field(5.0, gt=0)
    """Mean pulses per second."""
    duration_s: float = Field(4.0, gt=0)
    """Length of the train, s."""
    amplitude_mv: float = Field(150.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(2.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""


class OutcomeConfig(FeedbackConfig):
    """What all answers to the outcome share; by itself it is not a kind of feedback."""

    predictable: PredictableConfig = PredictableConfig()
    random: RandomConfig = RandomConfig()
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""
    rest_s: float = Field(4.0, ge=0)
    """Pause of the task after random feedback, s."""
    predictable_events: tuple[str, ...] = ("hit",)
    """Events that earn predictable feedback."""
    random_events: tuple[str, ...] = ("miss",)
    """Events that earn random feedback; they outrank predictable ones of the same decision."""

    @model_validator(mode="after")
    def _events_earn_one_kind(self) -> Self:
        if both := set(self.predictable_events) & set(self.random_events):
            raise ValueError(f"{', '.join(sorted(both))} stands in predictable_events and in random_events")
        return self


class _PulsedConfig(OutcomeConfig):
    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        low, high = (
            Pulse.balanced(train.amplitude_mv if unit == "mV" else train.amplitude_ua, self.phase_us, unit)
            for train in (self.predictable, self.random)
        )
        single = {f"random {place}": Pattern(high, (channel,)) for place, channel in enumerate(layout.sensory)}
        return {"predictable": Pattern(low, layout.sensory), **single}


class DishBrainConfig(_PulsedConfig):
    """DishBrain's stimulus condition: predictable pulses for a hit, random pulses and a rest for a miss."""

    kind: Literal["dishbrain"] = "dishbrain"

    def build(self, context: BuildContext) -> DishBrainFeedback:
        from wetloop.coding.feedback import DishBrainFeedback

        return DishBrainFeedback(self, context)


class YokedConfig(_PulsedConfig):
    """Feedback of a kind drawn from those earned so far: the same pulses, but not contingent on the play."""

    kind: Literal["yoked"] = "yoked"

    def build(self, context: BuildContext) -> YokedFeedback:
        from wetloop.coding.feedback import YokedFeedback

        return YokedFeedback(self, context)


class SilentConfig(OutcomeConfig):
    """The pauses of the stimulus condition without its pulses."""

    kind: Literal["silent"] = "silent"

    def build(self, context: BuildContext) -> SilentFeedback:
        from wetloop.coding.feedback import SilentFeedback

        return SilentFeedback(self, context)


class NoFeedbackConfig(FeedbackConfig):
    """Neither pulses nor pauses; in DishBrain's no-feedback condition the task has no end either."""

    kind: Literal["none"] = "none"

    def build(self, context: BuildContext) -> NoFeedback:
        from wetloop.coding.feedback import NoFeedback

        _ = context
        return NoFeedback()
