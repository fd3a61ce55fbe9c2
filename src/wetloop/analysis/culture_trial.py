"""Puts a simulated culture to the test: at rest, under distributed stimulation, and with single probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.activity import Activity
from wetloop.analysis.evoked import Evoked, evoked, latencies_s
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.plugin import seeded
from wetloop.culture.state import nbytes

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.culture.config import CultureConfig
    from wetloop.culture.rig import SimulatedCulture

    Floats = npt.NDArray[np.float64]

PACKET_MS = 100
PROBE_EVERY_S = 2.0
AMPLITUDE_MV, PHASE_US = 75.0, 200.0
"""Of the pulses of distributed stimulation and of probes."""


@dataclass(frozen=True)
class Plan:
    """How long a culture is watched: at rest, s; under pulses spread over all electrodes, s and 1/s; number of probes.

    Spread pulses come at even intervals, each on a random electrode (after Wagenaar et al., J. Neurosci. 2005).
    """

    rest_s: float = 120.0
    stimulated_s: float = 60.0
    pulses_hz: float = 16.0
    n_probes: int = 30


@dataclass(frozen=True)
class Trial:
    """What a culture did.

    ``excitatory_hz`` and ``inhibitory_hz`` are the mean rates of all cells at rest, seen or not; ``stimulated`` is
    without the 2 ms after each pulse, which an amplifier would not see; ``latencies_s`` are of spikes around each of
    ``n_probes`` single pulses; ``memory_mb`` is that of the culture's arrays.
    """

    rest: Activity
    stimulated: Activity
    evoked: Evoked
    latencies_s: Floats
    n_probes: int
    excitatory_hz: float
    inhibitory_hz: float
    memory_mb: float


def watch(config: CultureConfig, seed: int, plan: Plan) -> Trial:
    """Watch a culture, spikes as its electrodes see them; what is not named in the plan is as in play."""
    update = {"signal": "spikes", "packet_ms": PACKET_MS, "packet_samples": None, "lead_ms": None}
    culture = config.model_copy(update=update).build(seed)
    culture.open()
    n = culture.info.n_channels
    pulse = Pulse.balanced(AMPLITUDE_MV, PHASE_US, "mV")
    culture.prepare(StimGuard(culture.info).prepare({f"{k}": Pattern(pulse, (k,)) for k in range(n)}))
    rng = seeded(seed, "trial")
    before = _spikes(culture)
    rest, _ = _watched(culture, plan.rest_s, np.zeros(0), np.zeros(0, int))
    excitatory, inhibitory = (_spikes(culture) - before) / plan.rest_s
    at_s = np.asarray(np.arange(int(plan.pulses_hz * plan.stimulated_s)) / plan.pulses_hz, float)
    stimulated, pulses_s = _watched(culture, plan.stimulated_s, at_s, rng.integers(n, size=len(at_s)))
    probes_s = np.asarray(PROBE_EVERY_S * (np.arange(plan.n_probes) + 0.5), float)
    probed, probes_s = _watched(culture, PROBE_EVERY_S * plan.n_probes, probes_s, rng.integers(n, size=len(probes_s)))
    return Trial(
        rest, stimulated.without(pulses_s), evoked(probed, probes_s), latencies_s(probed, probes_s, 0.2, 0.3),
        plan.n_probes,
        float(excitatory / culture.cells.excitatory.sum()), float(inhibitory / (~culture.cells.excitatory).sum()),
        nbytes(culture.state) / 1e6,
    )  # fmt: skip


def _spikes(culture: SimulatedCulture) -> Floats:
    """Return the spikes of excitatory and of inhibitory cells so far."""
    core = culture.state.network.core[0]
    return np.array([core["n_excitatory_spikes"], core["n_spikes"] - core["n_excitatory_spikes"]], float)


def _watched(
    culture: SimulatedCulture, seconds: float, pulses_s: Floats, where: npt.NDArray[np.int64]
) -> tuple[Activity, Floats]:
    """Return the activity of some seconds under pulses on these channels, and when each pulse came, s."""
    rate_hz, block = culture.info.sampling_frequency, culture.read()
    start = block.start_sample + block.n_samples
    at = start + np.round(pulses_s * rate_hz).astype(np.int64)
    for sample, pattern in zip(at.tolist(), where.tolist(), strict=True):
        culture.trigger(pattern, sample)
    spikes, stop = [], start + round(seconds * rate_hz)
    while block.start_sample + block.n_samples < stop:
        block = culture.read()
        spikes.append(block.spikes)
    found = np.concatenate(spikes) if spikes else block.spikes[:0]
    return Activity.of(found, start, stop, rate_hz, culture.info.n_channels), (at - start) / rate_hz
