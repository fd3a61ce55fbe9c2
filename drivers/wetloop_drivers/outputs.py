"""Which electrodes the outputs of a separate stimulator feed, and how patterns are made of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from wetloop.core.errors import ConfigError
from wetloop.core.guard import Pulse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from wetloop.core.guard import Pattern
    from wetloop.core.types import RigInfo

Outputs: TypeAlias = "Mapping[int, tuple[int, ...]]"


def _wired(outputs: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    for number, electrodes in outputs.items():
        if not electrodes or len(set(electrodes)) != len(electrodes) or min(electrodes) < 0:
            raise ValueError(f"output {number} feeds electrodes {list(electrodes)}: name each once, from 0")
    if not outputs:
        raise ValueError("no output is wired: name the electrodes of at least one")
    return outputs


MAX_PATTERNS = 256
"""Names of patterns that are kept on this side; how many different ones a device holds, its ``misfits`` tell."""
Wiring = Annotated[dict[int, tuple[int, ...]], AfterValidator(_wired)]
"""Electrodes of each output."""


def one_each(n_outputs: int) -> dict[int, tuple[int, ...]]:
    """Return the wiring in which output 1 feeds electrode 0, and so on."""
    return {number: (number - 1,) for number in range(1, n_outputs + 1)}


def covers(outputs: Outputs, electrodes: Collection[int]) -> Iterator[tuple[int, ...]]:
    """Yield every set of outputs that together feed exactly these electrodes, each of them once."""
    wanted = set(electrodes)
    if not wanted:
        yield ()
        return
    first = min(wanted)
    for number, fed in outputs.items():
        if first in fed and wanted.issuperset(fed):
            for others in covers(outputs, wanted.difference(fed)):
                yield tuple(sorted((number, *others)))


def told_wiring(outputs: Outputs) -> str:
    """Return the wiring in words."""
    return ", ".join(f"output {number} feeds {list(fed)}" for number, fed in outputs.items())


def told_pulse(pulse: Pulse) -> str:
    """Return a pulse in words."""
    gap = f" with {pulse.interphase_us:g} us between" if pulse.interphase_us else ""
    return (
        f"{pulse.first_amplitude:.6g} / {pulse.second_amplitude:.6g} {pulse.unit}, "
        f"{pulse.first_us:g} / {pulse.second_us:g} us{gap}"
    )


def beside(rig: RigInfo, outputs: Outputs, latency_ms: float) -> RigInfo:
    """Return a rig with an immediate stimulator of these outputs beside it.

    Raises
    ------
    ConfigError
        Where an output feeds an electrode that the rig does not have.
    """
    missing = sorted({e for fed in outputs.values() for e in fed if e >= rig.n_channels})
    if missing:
        raise ConfigError(
            f"stimulator.outputs: electrode {missing[0]} does not exist: {rig.name} has 0 to {rig.n_channels - 1}"
        )
    return replace(
        rig,
        max_patterns=MAX_PATTERNS,
        immediate=True,
        trigger_latency_ms=latency_ms,
        lead_samples=rig.lead_samples + rig.samples(latency_ms),
    )


class LineConfig(BaseModel):
    """A digital line, and what the stimulator behind it delivers when it rises: a symmetric pulse, negative first."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bit: int = Field(ge=0, le=31)
    """Bit of the line in its register, from 0."""
    electrodes: tuple[int, ...] = Field(min_length=1)
    """Electrodes that the stimulator's output is wired to, from 0."""
    amplitude: float = Field(gt=0, allow_inf_nan=False)
    """Amplitude of each phase that the stimulator is set to, in its unit."""
    phase_us: float = Field(gt=0, allow_inf_nan=False)
    """Width of each phase that the stimulator is set to, us."""

    def pulse(self, unit: str) -> Pulse:
        """Return what is delivered."""
        return Pulse.balanced(self.amplitude, self.phase_us, unit)


def lines_for(pattern: Pattern, lines: Sequence[LineConfig]) -> tuple[int, ...] | None:
    """Return the bits of the lines that together deliver a pattern, each electrode once; None where none do."""
    fit = {
        n: line.electrodes for n, line in enumerate(lines) if same_pulse(line.pulse(pattern.pulse.unit), pattern.pulse)
    }
    cover = next(covers(fit, pattern.channels), None)
    return None if cover is None else tuple(lines[n].bit for n in cover)


def same_pulse(one: Pulse, other: Pulse) -> bool:
    """Return whether two pulses differ by no more than arithmetic does."""
    fields = ("first_amplitude", "first_us", "second_amplitude", "second_us", "interphase_us")
    return one.unit == other.unit and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=1e-6) for name in fields
    )
