"""Configuration of the built-in codecs; importing it is cheap, the objects are imported when they are built.

Amplitudes exist twice: the rig's unit decides which is used. Rates, durations and voltages follow DishBrain
(Kagan et al., Neuron 2022); the currents keep its ratio of two, within the range of a CL1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import DecoderConfig, EncoderConfig, FeedbackConfig

if TYPE_CHECKING:
    from wetloop.coding.decoders import RegionRatio
    from wetloop.coding.encoders import NoEncoder, PlaceRateEncoder
    from wetloop.coding.feedback import DishBrainFeedback, NoFeedback, SilentFeedback, YokedFeedback
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext


class PlaceRateConfig(EncoderConfig):
    """Place and rate code: which electrode tells where the ball is, how often tells how near it is.

    The defaults read the observation of Pong: the ball's height relative to the paddle chooses the electrode,
    its distance from the paddle's plane the rate.
    """

    kind: Literal["place-rate"] = "place-rate"
    min_rate_hz: float = Field(4.0, gt=0)
    """Rate at ``far``, Hz."""
    max_rate_hz: float = Field(40.0, gt=0)
    """Rate at ``near``, Hz."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""
    hold_ms: float = Field(50.0, gt=0)
    """A train that is not renewed ends after this time, ms."""
    distance_index: int = Field(0, ge=0)
    """Element of the observation that sets the rate (Pong: ball_x)."""
    place_index: int = Field(1, ge=0)
    """Element of the observation that chooses the electrode (Pong: ball_y)."""
    reference_index: int | None = Field(4, ge=0)
    """Element that is subtracted from the place (Pong: paddle_y); none: the place stands for itself."""
    near: float = 0.0
    """Distance at which the rate is largest."""
    far: float = 1.0
    """Distance at which the rate is least."""
    place_low: float = -0.5
    """Lower end of the first electrode's range, after the subtraction; what lies beyond counts to it."""
    place_high: float = 0.5
    """Upper end of the last electrode's range, likewise."""

    @model_validator(mode="after")
    def _ranges_not_empty(self) -> Self:
        if self.near == self.far or self.place_low >= self.place_high or self.min_rate_hz > self.max_rate_hz:
            raise ValueError("near and far must differ, place_low be below place_high, min_rate_hz at most max_rate_hz")
        return self

    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        pulse = Pulse.balanced(self.amplitude_mv if unit == "mV" else self.amplitude_ua, self.phase_us, unit)
        return {f"sensory {place}": Pattern(pulse, (channel,)) for place, channel in enumerate(layout.sensory)}

    def build(self, context: BuildContext) -> PlaceRateEncoder:
        from wetloop.coding.encoders import PlaceRateEncoder

        return PlaceRateEncoder(self, context)


class NoEncoderConfig(EncoderConfig):
    """Shows nothing to the culture: the rest condition."""

    kind: Literal["none"] = "none"

    def build(self, context: BuildContext) -> NoEncoder:
        from wetloop.coding.encoders import NoEncoder

        _ = context
        return NoEncoder()


class RegionRatioConfig(DecoderConfig):
    """Log ratio of the activity of two motor regions, with a running offset and gain that equalise them."""

    kind: Literal["region-ratio"] = "region-ratio"
    smoothing_ms: float = Field(100.0, gt=0)
    """Time constant of the regions' rates, ms."""
    gain_s: float = Field(30.0, gt=0)
    """Time constant of the ratio's mean and variance, s."""
    floor_hz: float = Field(20.0, gt=0)
    """Added to each region's rate, spikes per second: keeps single spikes in silence from full deflection."""

    def build(self, context: BuildContext) -> RegionRatio:
        from wetloop.coding.decoders import RegionRatio

        return RegionRatio(self, context)


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
