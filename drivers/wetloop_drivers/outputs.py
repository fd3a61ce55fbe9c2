"""Which electrodes the outputs of a separate stimulator feed, and how patterns are made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, PlainSerializer

from wetloop.core.errors import ConfigError
from wetloop.core.limits import StimLimits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from wetloop.core.guard import Pulse
    from wetloop.core.types import RigInfo

Outputs: TypeAlias = "Mapping[int, tuple[int, ...]]"
Limits = Annotated[StimLimits, PlainSerializer(lambda limits: limits.model_dump(exclude_defaults=True))]


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
