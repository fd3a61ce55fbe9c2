"""Configuration of the built-in encoders; importing it is cheap, the objects are imported when they are built.

Amplitudes exist twice: the rig's unit decides which is used. Rates and voltages follow DishBrain (Kagan et al., Neuron
2022); the currents keep its ratio of two, within the range of a CL1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import EncoderConfig

if TYPE_CHECKING:
    from wetloop.coding.encoders import NoEncoder, PlaceRateEncoder
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
