"""The static half of the stimulation guard: it alone makes a PatternTable.

Amplitude, width, charge, balance and electrodes are checked here, before a run; intervals, rates and accumulated charge
are checked pulse by pulse in the engine, where trains and reflexes make their pulses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.errors import GuardError
from wetloop.core.types import PatternSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from wetloop.core.limits import StimLimits
    from wetloop.core.types import RigInfo


@dataclass(frozen=True)
class Pulse:
    """A biphasic pulse; amplitudes carry their sign, ``unit`` is ``"mV"`` or ``"uA"``."""

    first_amplitude: float
    first_us: float
    second_amplitude: float
    second_us: float
    unit: str
    interphase_us: float = 0.0

    @classmethod
    def balanced(cls, amplitude: float, phase_us: float, unit: str) -> Pulse:
        """Return a symmetric pulse, negative phase first."""
        return cls(-amplitude, phase_us, amplitude, phase_us, unit)

    @property
    def duration_us(self) -> float:
        """First phase to the end of the second."""
        return self.first_us + self.interphase_us + self.second_us

    def rounded(self, step: float) -> Pulse:
        """Return the pulse that a stimulator with this amplitude step really delivers."""
        if step <= 0:
            return self
        return replace(
            self,
            first_amplitude=step * round(self.first_amplitude / step),
            second_amplitude=step * round(self.second_amplitude / step),
        )


@dataclass(frozen=True)
class Pattern:
    """One pulse on one or more electrodes at the same time, by channel index."""

    pulse: Pulse
    channels: tuple[int, ...]


class _Checked:
    """Held by the guard alone; a PatternTable cannot be made without it."""


@dataclass(frozen=True)
class PatternTable:
    """The patterns of a session, checked, in the order in which they are loaded.

    Attributes
    ----------
    names, patterns
        What each entry is called and what it delivers (amplitudes as rounded by the stimulator).
    charge_nc
        Charge of the larger phase per electrode, nC, shape (n_patterns,); an upper bound for voltage pulses.
    """

    names: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    charge_nc: npt.NDArray[np.float64]
    proof: _Checked

    def __len__(self) -> int:
        return len(self.patterns)

    def __iter__(self) -> Iterator[tuple[str, Pattern]]:
        return iter(zip(self.names, self.patterns, strict=True))

    def find(self, *names: str) -> PatternSet:
        """Return the set of these entries, which must stand next to each other in this order."""
        first = self.names.index(names[0])
        if self.names[first : first + len(names)] != names:
            raise GuardError(f"patterns {', '.join(names)} are not consecutive entries of the pattern table")
        return PatternSet(first, len(names))

    def under(self, prefix: str) -> PatternTable:
        """Return the same table with the names that one of several codecs gave its own patterns, before the prefix."""
        return replace(self, names=tuple(n.removeprefix(prefix) if n.startswith(prefix) else "" for n in self.names))


class StimGuard:
    """Checks patterns against the tightest of all limits."""

    def __init__(self, info: RigInfo, *layers: StimLimits) -> None:
        self.info = info
        self.limits = info.limits.tightened(*layers)

    def prepare(self, patterns: Mapping[str, Pattern]) -> PatternTable:
        """Return the table of these patterns.

        Raises
        ------
        GuardError
            Naming every field, its value, the limit and the unit, or the size of the table where it does not fit.
        """
        if len(patterns) > self.info.max_patterns:
            raise GuardError(
                f"{len(patterns)} patterns asked for, but {self.info.name} holds at most {self.info.max_patterns}: "
                "use fewer sensory electrodes or amplitudes"
            )
        real = {n: replace(p, pulse=p.pulse.rounded(self.info.amplitude_step)) for n, p in patterns.items()}
        faults = [f"pattern {name!r}: {fault}" for name, p in real.items() for fault in self.faults(p)]
        if faults:
            raise GuardError("stimulation refused before the run:\n  " + "\n  ".join(faults))
        charge = np.array([max(self.charges_nc(p.pulse)) for p in real.values()], float)
        return PatternTable(tuple(real), tuple(real.values()), charge, _Checked())

    def charges_nc(self, pulse: Pulse) -> tuple[float, float]:
        """Return the absolute charge of both phases, nC; for voltage pulses V / R x t is an upper bound."""
        scale = 1e-3 if pulse.unit == "uA" else 1e-3 / self.info.access_resistance_kohm
        return abs(pulse.first_amplitude) * pulse.first_us * scale, abs(
            pulse.second_amplitude
        ) * pulse.second_us * scale

    def faults(self, pattern: Pattern) -> list[str]:
        """Return every limit that the pattern breaks, as sentences; none if it may be delivered."""
        pulse, fields = pattern.pulse, ("first_amplitude", "first_us", "second_amplitude", "second_us", "interphase_us")
        odd = [
            f"{f} is {getattr(pulse, f)}, not a finite number" for f in fields if not math.isfinite(getattr(pulse, f))
        ]
        if pulse.unit != self.info.unit:
            odd.append(f"unit is {pulse.unit}, but {self.info.name} stimulates in {self.info.unit}")
        return odd or [*self._shape_faults(pulse), *self._charge_faults(pulse), *self._channel_faults(pattern.channels)]

    def _shape_faults(self, pulse: Pulse) -> Iterator[str]:
        limit = self.limits.max_amplitude_mv if pulse.unit == "mV" else self.limits.max_amplitude_ua
        for name in ("first", "second"):
            amplitude, width = getattr(pulse, f"{name}_amplitude"), getattr(pulse, f"{name}_us")
            if abs(amplitude) > limit:
                yield f"{name}_amplitude {amplitude:g} {pulse.unit} is over the limit of {limit:g} {pulse.unit}"
            if amplitude == 0:
                yield f"{name}_amplitude is 0 {pulse.unit}: a pulse has two phases"
            if width <= 0 or width < self.limits.min_phase_us:
                yield f"{name}_us {width:g} us is under the limit of {self.limits.min_phase_us:g} us"
            if width > self.limits.max_phase_us:
                yield f"{name}_us {width:g} us is over the limit of {self.limits.max_phase_us:g} us"
        if pulse.interphase_us < 0:
            yield f"interphase_us {pulse.interphase_us:g} us is negative"

    def _charge_faults(self, pulse: Pulse) -> Iterator[str]:
        limits, (first, second) = self.limits, self.charges_nc(pulse)
        most = max(first, second)
        density = most / self.info.electrode_area_um2 * 1e5  # nC/um2 to uC/cm2
        same_sign = pulse.first_amplitude * pulse.second_amplitude > 0
        net = (first + second if same_sign else abs(first - second)) / most if most else 0.0
        if most > limits.max_charge_nc:
            yield f"charge per phase {most:.4g} nC is over the limit of {limits.max_charge_nc:g} nC"
        if density > limits.max_charge_density_uc_cm2:
            limit = limits.max_charge_density_uc_cm2
            yield f"charge density {density:.4g} uC/cm2 is over the limit of {limit:g} uC/cm2"
        if net > limits.max_imbalance:
            yield f"charge imbalance {net:.4g} is over the limit of {limits.max_imbalance:g} (a fraction of one phase)"

    def _channel_faults(self, channels: Sequence[int]) -> Iterator[str]:
        if not channels:
            yield "channels is empty: name at least one electrode"
        if len(set(channels)) != len(channels):
            yield f"channels {list(channels)} names an electrode twice"
        if len(channels) > self.limits.max_electrodes:
            yield f"{len(channels)} electrodes at once are over the limit of {self.limits.max_electrodes:g}"
        for channel in channels:
            if not 0 <= channel < self.info.n_channels:
                yield f"channel {channel} does not exist: {self.info.name} has channels 0 to {self.info.n_channels - 1}"
            elif channel in self.limits.forbidden_channels:
                yield f"channel {channel} is forbidden by the limits"
