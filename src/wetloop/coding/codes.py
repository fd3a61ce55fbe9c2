"""What a code can tell and what it costs, and the refusal of one that could break a limit.

The guard is the last line of defence, not the rate limiter: an encoder whose largest rates exceed the limits in effect
is not built, so that the guard never has to shorten what the culture is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from wetloop.core.errors import ConfigError
from wetloop.kernels.state import CHARGE_BINS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wetloop.core.limits import StimLimits
    from wetloop.core.plugin import BuildContext


class Curve(NamedTuple):
    """A quantity that is told by a rate: least at ``low``, largest at ``high``, none at all under ``silent_below``."""

    quantity: str
    low: float
    high: float
    silent_below: float | None = None

    def strength(self, value: float) -> float:
        """Return where a value lies in the range, 0 to 1; what lies beyond counts as the nearer end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class CodeFacts:
    """Range, resolution, latency and cost of a code.

    Attributes
    ----------
    kind
        What kind of code it is.
    curves
        The quantities that rates tell, in the order of their trains; one curve may hold for many trains. None where
        single pulses are announced, which ``place`` then names.
    min_rate_hz, max_rate_hz
        Rates at the ends of every curve.
    channels
        All electrodes of the code.
    at_once
        Electrodes that may carry trains at the same time.
    largest_total_hz
        Pulses per second over these, a pulse on two electrodes counting two.
    charge_nc
        Charge of one phase on one electrode, nC.
    decision_ms, hold_ms, plan_ms
        Time between new values, time after which a train ends by itself, time from a value to its taking effect.
    place
        What the choice of the electrode tells, if it tells anything.
    grid, inverted
        Rows and columns into which a picture is pooled, and whether darker is faster.
    """

    kind: str
    curves: tuple[Curve, ...]
    min_rate_hz: float
    max_rate_hz: float
    channels: tuple[int, ...]
    at_once: int
    largest_total_hz: float
    charge_nc: float
    decision_ms: float
    hold_ms: float
    plan_ms: float
    place: str = ""
    grid: tuple[int, int] | None = None
    inverted: bool = False

    def rate_hz(self, curve: Curve, value: float) -> float:
        """Return the rate of a value, where the largest total leaves room for it."""
        if curve.silent_below is not None and value < curve.silent_below:
            return 0.0
        return self.min_rate_hz + (self.max_rate_hz - self.min_rate_hz) * curve.strength(value)

    def levels(self, window_ms: float) -> int:
        """Return how many rates differ by at least one pulse within this time; 1 means none can be told apart."""
        return 1 + math.floor((self.max_rate_hz - self.min_rate_hz) * window_ms / 1000 + 1e-9)

    def latency_ms(self, rate_hz: float) -> float:
        """Return the mean time from a value to the first pulse that follows it: the plan and half an interval."""
        return self.plan_ms + 500 / rate_hz

    @property
    def most_in_a_second(self) -> int:
        """Pulses that can fall into one second: each train may have one more than its mean."""
        return min(
            self.at_once * math.ceil(self.max_rate_hz), math.ceil(self.largest_total_hz) + max(0, self.at_once - 1)
        )

    def session_min(self, limits: StimLimits) -> float:
        """Return for how long an electrode may pulse at the largest rate until its charge is used up, min."""
        return limits.max_charge_nc_per_session / (self.max_rate_hz * self.charge_nc * 60)


@runtime_checkable
class Described(Protocol):
    """An encoder that can say what its codes are."""

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of each code."""


def facts_of(encoder: object) -> tuple[CodeFacts, ...]:
    """Return the facts of an encoder's codes; none if it does not tell."""
    return encoder.describe() if isinstance(encoder, Described) else ()


def refuse_excess(codes: Sequence[CodeFacts], context: BuildContext) -> None:
    """Refuse codes whose largest rates exceed the limits in effect.

    Raises
    ------
    ConfigError
        Naming every rate, its limit and the unit.
    """
    faults = [f"{code.kind}: {fault}" for code in codes for fault in _electrode_faults(code, context)]
    faults += _array_faults(codes, context.limits)
    if faults:
        raise ConfigError("encoder: its largest rates exceed the stimulation limits:\n  " + "\n  ".join(faults))


def refuse_crowding(answers: Mapping[str, float], codes: Sequence[CodeFacts], limits: StimLimits) -> None:
    """Refuse feedback for which the encoder leaves no room: the guard would cut its trains short.

    Parameters
    ----------
    answers
        Pulses that each answer may put into one second, by event; a pulse on two electrodes counts two.
    codes
        What the encoder shows meanwhile. Its pulses give way, but those of the second before still count.
    limits
        Those in effect.
    """
    room = limits.max_array_rate_hz - sum(code.most_in_a_second for code in codes)
    for event, pulses in answers.items():
        if pulses > room:
            raise ConfigError(
                f"feedback: the answer to {event} puts up to {pulses:g} pulses into one second, over all electrodes, "
                f"but the array's limit of {limits.max_array_rate_hz:g} Hz leaves {max(0, room):g} beside the encoder: "
                "use fewer electrodes or pulses for it, or lower the encoder's max_total_hz"
            )


def _electrode_faults(code: CodeFacts, context: BuildContext) -> Iterator[str]:
    limits, rate_hz, sampling_frequency = context.limits, code.max_rate_hz, context.info.sampling_frequency
    if math.ceil(rate_hz) > limits.max_rate_hz:
        yield f"{rate_hz:g} Hz on one electrode is over the limit of {limits.max_rate_hz:g} Hz: lower max_rate_hz"
    least = math.ceil(limits.min_interval_ms * sampling_frequency / 1000)
    if math.floor(sampling_frequency / rate_hz) < least:
        interval = f"intervals of {1000 / rate_hz:.4g} ms are under the limit of {limits.min_interval_ms:g} ms"
        yield f"{interval}: lower max_rate_hz to {1000 / limits.min_interval_ms:.4g} Hz"
    for what, seconds, limit_nc in (
        ("second", 1, limits.max_charge_nc_per_s),
        ("minute", 60, limits.max_charge_nc_per_min),
    ):
        window = CHARGE_BINS * math.ceil(seconds * sampling_frequency / (CHARGE_BINS - 1))
        charge_nc = math.ceil(rate_hz * window / sampling_frequency) * code.charge_nc
        if charge_nc > limit_nc:
            yield (
                f"{charge_nc:.4g} nC on one electrode in the guard's {what} ({window / sampling_frequency:.4g} s at "
                f"{rate_hz:g} Hz) are over the limit of {limit_nc:g} nC: lower max_rate_hz or the amplitude"
            )


def _array_faults(codes: Sequence[CodeFacts], limits: StimLimits) -> Iterator[str]:
    most, at_once = sum(code.most_in_a_second for code in codes), sum(code.at_once for code in codes)
    if most > limits.max_array_rate_hz:
        total_hz, limit_hz = sum(code.largest_total_hz for code in codes), limits.max_array_rate_hz
        yield (
            f"{total_hz:g} Hz over {at_once} electrodes, which may put {most} pulses into one second, are over the "
            f"array's limit of {limit_hz:g} Hz: set max_total_hz, {most - limit_hz:g} Hz lower"
        )
    if at_once > limits.max_electrodes:
        yield f"{at_once} electrodes may pulse at once, over the limit of {limits.max_electrodes:g}: use fewer"
