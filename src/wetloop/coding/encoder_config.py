"""Configuration of the built-in encoders; importing it is cheap, the objects are imported when they are built.

Amplitudes exist twice: the rig's unit decides which is used. Rates and voltages follow DishBrain (Kagan et al., Neuron
2022); the currents keep its ratio of two, within the range of a CL1.
"""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from wetloop.coding.elements import Element
from wetloop.coding.shares import share
from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import EncoderConfig

if TYPE_CHECKING:
    from wetloop.coding.codes import CodeFacts, Curve
    from wetloop.coding.encoders import NoEncoder, PlaceRateEncoder, RateEncoder
    from wetloop.coding.retinotopic import RetinotopicEncoder
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext


class TrainConfig(EncoderConfig):
    """What codes by rate have in common; by itself it is no kind of encoder."""

    min_rate_hz: float = Field(4.0, gt=0)
    """Least rate of a train, Hz."""
    max_rate_hz: float = Field(40.0, gt=0)
    """Largest rate of a train, Hz."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""
    hold_ms: float = Field(50.0, gt=0)
    """A train that is not renewed ends after this time, ms."""
    electrodes: int | None = Field(None, ge=1)
    """Sensory electrodes that it uses, from the first on; by default all that there are, or that it needs."""
    max_total_hz: float | None = Field(None, gt=0)
    """Pulses per second on all its electrodes together; where values ask for more, all its rates are lowered alike."""

    @model_validator(mode="after")
    def _rates_in_order(self) -> Self:
        if self.min_rate_hz > self.max_rate_hz:
            raise ValueError(f"min_rate_hz {self.min_rate_hz:g} is over max_rate_hz {self.max_rate_hz:g}")
        return self

    def needs(self) -> int | None:
        return self.electrodes

    def share(self, layout: "Layout") -> "Layout":
        """Return the layout with the code's own electrodes alone."""
        return share(layout, 0, self.needs())

    def rate_hz(self, strength: float) -> float:
        """Return the rate of a strength from 0 to 1; what lies beyond counts as the nearer end."""
        return self.min_rate_hz + (self.max_rate_hz - self.min_rate_hz) * min(1.0, max(0.0, strength))

    def pulse(self, unit: str) -> Pulse:
        """Return the pulse of every train."""
        return Pulse.balanced(self.amplitude_mv if unit == "mV" else self.amplitude_ua, self.phase_us, unit)

    def patterns(self, layout: "Layout", unit: str) -> dict[str, Pattern]:
        channels = self.share(layout).sensory
        return {f"sensory {place}": Pattern(self.pulse(unit), (channel,)) for place, channel in enumerate(channels)}

    def facts(self, context: "BuildContext", curves: "tuple[Curve, ...]", at_once: int | None = None) -> "CodeFacts":
        """Return the facts of the code in a session; by default all its electrodes carry trains at once."""
        from wetloop.coding.codes import CodeFacts

        channels, sample_ms = self.share(context.layout).sensory, 1000 / context.info.sampling_frequency
        at_once = len(channels) if at_once is None else at_once
        largest_hz = at_once * self.max_rate_hz
        return CodeFacts(
            kind=self.kind,
            curves=curves,
            min_rate_hz=self.min_rate_hz,
            max_rate_hz=self.max_rate_hz,
            channels=channels,
            at_once=at_once,
            largest_total_hz=largest_hz if self.max_total_hz is None else min(largest_hz, self.max_total_hz),
            charge_nc=float(context.table.charge_nc[context.table.find("sensory 0").first]),
            decision_ms=context.decision_samples * sample_ms,
            hold_ms=self.hold_ms,
            plan_ms=context.plan_samples * sample_ms,
        )


class PlaceRateConfig(TrainConfig):
    """Place and rate code: which electrode tells where the ball is, how often tells how near it is.

    The defaults read the observation of Pong: the ball's height relative to the paddle chooses the electrode,
    its distance from the paddle's plane the rate.
    """

    kind: Literal["place-rate"] = "place-rate"
    distance: Element = Field(0, validation_alias=AliasChoices("distance", "distance_index"))
    """Element of the observation that sets the rate, by name or number (Pong: ball_x)."""
    place: Element = Field(1, validation_alias=AliasChoices("place", "place_index"))
    """Element of the observation that chooses the electrode (Pong: ball_y)."""
    reference: Element | None = Field(4, validation_alias=AliasChoices("reference", "reference_index"))
    """Element that is subtracted from the place (Pong: paddle_y); none: the place stands for itself."""
    visible: Element | None = None
    """Element that must be at least 0.5, else nothing is shown (no enemy in sight); none: always shown."""
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
        if self.near == self.far or self.place_low >= self.place_high:
            raise ValueError("near and far must differ, and place_low be below place_high")
        return self

    def build(self, context: "BuildContext") -> "PlaceRateEncoder":
        from wetloop.coding.encoders import PlaceRateEncoder

        return PlaceRateEncoder(self, context)


class RateElement(BaseModel):
    """An element of the observation that is told by the rate of a train."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    element: Element
    """Which one, by name or number."""
    low: float = 0.0
    """Value at which the rate is least; what lies beyond counts as this."""
    high: float = 1.0
    """Value at which the rate is largest, likewise; may be under ``low``: the nearer, the faster."""
    electrodes: int = Field(1, ge=1)
    """Electrodes that tell it together."""

    @model_validator(mode="after")
    def _range_not_empty(self) -> Self:
        if self.low == self.high:
            raise ValueError("low and high must differ")
        return self


class RateConfig(TrainConfig):
    """Rate code: how often an electrode is stimulated tells one element of the observation, such as health."""

    kind: Literal["rate"] = "rate"
    max_total_hz: float | None = Field(200.0, gt=0)
    """Pulses per second on all its electrodes together; where values ask for more, all its rates are lowered alike."""
    elements: tuple[RateElement, ...]
    """The elements, each on the next of the electrodes."""

    @model_validator(mode="after")
    def _electrodes_suffice(self) -> Self:
        if not self.elements:
            raise ValueError("elements is empty: name at least one element of the observation")
        if self.electrodes not in (None, self.needs()):
            raise ValueError(f"electrodes is {self.electrodes}, but the elements take {self.needs()}: leave it out")
        return self

    def needs(self) -> int:
        return sum(element.electrodes for element in self.elements)

    def names(self) -> list[str]:
        """Return the name of each element's pattern."""
        return [f"sensory {k}" for k in range(len(self.elements))]

    def patterns(self, layout: "Layout", unit: str) -> dict[str, Pattern]:
        channels, pulse = iter(self.share(layout).sensory), self.pulse(unit)
        groups = [tuple(next(channels) for _ in range(element.electrodes)) for element in self.elements]
        return {name: Pattern(pulse, group) for name, group in zip(self.names(), groups, strict=True)}

    def build(self, context: "BuildContext") -> "RateEncoder":
        from wetloop.coding.encoders import RateEncoder

        return RateEncoder(self, context)


class RetinotopicConfig(TrainConfig):
    """Picture code: the grid of sensory electrodes is laid over what the player sees, brighter is faster."""

    kind: Literal["retinotopic"] = "retinotopic"
    max_total_hz: float | None = Field(200.0, gt=0)
    """Pulses per second on all its electrodes together; where values ask for more, all its rates are lowered alike."""
    invert: bool = False
    """Darker is faster: of a depth buffer in which near is dark this tells nearness."""
    silent_below: float = Field(0.0, ge=0, le=1)
    """Parts whose brightness (or nearness) from 0 to 1 is under this are silent."""

    def build(self, context: "BuildContext") -> "RetinotopicEncoder":
        from wetloop.coding.retinotopic import RetinotopicEncoder

        return RetinotopicEncoder(self, context)


class NoEncoderConfig(EncoderConfig):
    """Shows nothing to the culture: the rest condition."""

    kind: Literal["none"] = "none"

    def needs(self) -> int:
        return 0

    def build(self, context: "BuildContext") -> "NoEncoder":
        from wetloop.coding.encoders import NoEncoder

        _ = context
        return NoEncoder()
