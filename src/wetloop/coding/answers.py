"""What an event can be answered with: the configuration of each answer, its patterns, and its train.

Amplitudes exist twice: the rig's unit decides which is used. Rates, durations and voltages follow DishBrain
(Kagan et al., Neuron 2022); the currents keep its ratio of two, within the range of a CL1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.types import Kind, Timing

if TYPE_CHECKING:
    from wetloop.core.layout import Layout
    from wetloop.core.types import RigInfo

Channels = Annotated[tuple[int, ...], Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PredictableConfig(_Section):
    """The answer to what is to be reinforced: a regular train on all sensory electrodes together."""

    rate_hz: float = Field(100.0, gt=0)
    """Pulses per second."""
    duration_ms: float = Field(100.0, gt=0)
    """Length of the train, ms."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""


class RandomConfig(_Section):
    """The answer to what is to be avoided: pulses at Poisson times, each on a random sensory electrode."""

    rate_hz: float = Field(5.0, gt=0)
    """Mean pulses per second."""
    duration_s: float = Field(4.0, gt=0)
    """Length of the train, s."""
    amplitude_mv: float = Field(150.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(2.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""


class Train(NamedTuple):
    """A train on the rig's clock: interval (regular) or mean interval (Poisson) and length, both in samples."""

    timing: Timing
    period_samples: float
    n_samples: int


class _Pulsed(_Section):
    """What answers with pulses share."""

    electrodes: Literal["all"] | Channels = "all"
    """Channels that are stimulated; all: the sensory electrodes."""
    hold: bool = False
    """Hold the task until the answer has ended."""
    rest_s: float = Field(0.0, ge=0)
    """Hold the task for this time after it too, s."""

    @model_validator(mode="after")
    def _rest_after_a_hold(self) -> Self:
        if self.rest_s > 0 and not self.hold:
            raise ValueError("rest_s is a part of the pause that hold makes: set hold to true, or rest_s to 0")
        return self

    def channels(self, layout: Layout) -> tuple[int, ...]:
        """Return the channels that are stimulated."""
        return layout.sensory if self.electrodes == "all" else self.electrodes


class _Regular(PredictableConfig, _Pulsed):
    """A regular train, all electrodes together: fixed sites at fixed times."""

    kind: ClassVar = Kind.PREDICTABLE
    pulses: int | None = Field(None, ge=1)
    """Number of pulses, instead of duration_ms."""

    def patterns(self, name: str, layout: Layout, phase_us: float, unit: str) -> dict[str, Pattern]:
        """Return what is to be prepared: one pattern."""
        return {name: Pattern(_pulse(self, phase_us, unit), self.channels(layout))}

    def most_in_a_second(self, layout: Layout, info: RigInfo) -> float:
        """Return the pulses of the full train that fall into one second, over all electrodes."""
        train = self.played(info, None)
        pulses = math.ceil(min(train.n_samples, info.sampling_frequency) / train.period_samples)
        return pulses * len(self.channels(layout))

    def played(self, info: RigInfo, magnitude: float | None) -> Train:
        """Return the train that a magnitude earns."""
        raise NotImplementedError

    def _counted(self, pulses: int, rate_hz: float, sampling_frequency: float) -> Train:
        """Return the train of so many pulses; it ends an interval after the last, where the next one would be."""
        period = sampling_frequency / rate_hz
        return Train(Timing.REGULAR, period, int(pulses * period))


class PredictableAnswer(_Regular):
    """A regular train: all electrodes together, at fixed times."""

    train: Literal["predictable"] = "predictable"

    def played(self, info: RigInfo, magnitude: float | None) -> Train:
        """Return the train, always the same."""
        _ = magnitude
        if self.pulses is not None:
            return self._counted(self.pulses, self.rate_hz, info.sampling_frequency)
        return Train(Timing.REGULAR, info.sampling_frequency / self.rate_hz, info.samples(self.duration_ms))


class GradedAnswer(_Regular):
    """A regular train whose number of pulses, or whose rate, follows the magnitude of the event.

    An event whose magnitude the task does not tell earns the full train. Amplitude does not follow: patterns are
    prepared before the run.
    """

    train: Literal["graded"] = "graded"
    scales: Literal["pulses", "rate"] = "pulses"
    """What follows the magnitude: the number of pulses at the same rate, or the rate over the same time."""
    magnitude_low: float = Field(0.0, allow_inf_nan=False)
    """Magnitude of the event that earns the least train; what lies below earns it too."""
    magnitude_high: float = Field(1.0, allow_inf_nan=False)
    """Magnitude that earns the full train; what lies above earns it too."""
    least_share: float = Field(0.1, gt=0, le=1)
    """The least train: its share of the full train's pulses or rate; at least one pulse."""

    @model_validator(mode="after")
    def _magnitudes_in_order(self) -> Self:
        if self.magnitude_low >= self.magnitude_high:
            raise ValueError(f"magnitude_low {self.magnitude_low:g} is not below magnitude_high")
        return self

    def share(self, magnitude: float | None) -> float:
        """Return the share of the full train that a magnitude earns."""
        if magnitude is None:
            return 1.0
        height = (magnitude - self.magnitude_low) / (self.magnitude_high - self.magnitude_low)
        return self.least_share + (1.0 - self.least_share) * min(1.0, max(0.0, height))

    def played(self, info: RigInfo, magnitude: float | None) -> Train:
        """Return the train that a magnitude earns."""
        share, rate = self.share(magnitude), info.sampling_frequency
        pulses = max(1, round(self.duration_ms / 1000 * self.rate_hz)) if self.pulses is None else self.pulses
        if self.scales == "pulses":
            return self._counted(max(1, round(share * pulses)), self.rate_hz, rate)
        full = self._counted(pulses, self.rate_hz, rate)
        return full._replace(period_samples=full.period_samples / share)


class RandomAnswer(RandomConfig, _Pulsed):
    """Pulses at Poisson times, each on one of the electrodes at random."""

    train: Literal["random"] = "random"
    kind: ClassVar = Kind.RANDOM

    def patterns(self, name: str, layout: Layout, phase_us: float, unit: str) -> dict[str, Pattern]:
        """Return what is to be prepared: one pattern for each electrode."""
        pulse = _pulse(self, phase_us, unit)
        return {f"{name} {place}": Pattern(pulse, (channel,)) for place, channel in enumerate(self.channels(layout))}

    def played(self, info: RigInfo, _magnitude: float | None) -> Train:
        """Return the train; its times and sites are drawn when it is played."""
        return Train(Timing.POISSON, info.sampling_frequency / self.rate_hz, info.samples(1000 * self.duration_s))

    def most_in_a_second(self, _layout: Layout, _info: RigInfo) -> float:
        """Return the mean number of pulses in one second: by chance there may be more."""
        return self.rate_hz


class SilentAnswer(_Section):
    """No pulse: the task pauses."""

    train: Literal["silent"] = "silent"
    hold_ms: float = Field(gt=0)
    """Length of the pause, ms."""
    kind: ClassVar = None
    hold: ClassVar = True
    rest_s: ClassVar = 0.0

    def patterns(self, _name: str, _layout: Layout, _phase_us: float, _unit: str) -> dict[str, Pattern]:
        """Return nothing to prepare."""
        return {}

    def most_in_a_second(self, _layout: Layout, _info: RigInfo) -> float:
        """Return nothing."""
        return 0.0

    def played(self, info: RigInfo, _magnitude: float | None) -> Train:
        """Return a train without pulses, as long as the pause."""
        return Train(Timing.REGULAR, 1.0, info.samples(self.hold_ms))


Answer = Annotated[PredictableAnswer | RandomAnswer | GradedAnswer | SilentAnswer, Field(discriminator="train")]


class Rank(NamedTuple):
    """One row of a table of answers: an event, its answer, and what the answer's patterns are called."""

    event: str
    name: str
    answer: PredictableAnswer | RandomAnswer | GradedAnswer | SilentAnswer


def _pulse(train: PredictableConfig | RandomConfig, phase_us: float, unit: str) -> Pulse:
    return Pulse.balanced(train.amplitude_mv if unit == "mV" else train.amplitude_ua, phase_us, unit)
