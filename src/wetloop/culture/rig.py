"""The simulated culture as a rig: a source and a stimulator in one object."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.layout import grid_probe, positions_um
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import seeded
from wetloop.core.types import Block, RigInfo, Signal
from wetloop.culture.network import Cells, place_cells
from wetloop.culture.plasticity_config import OracleConfig
from wetloop.culture.state import build_state, dish_facts
from wetloop.kernels.culture import make_packet
from wetloop.kernels.records import DELIVERED, PULSE, SPIKE

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.guard import Pattern, PatternTable, Pulse
    from wetloop.culture.config import CultureConfig, SimulatedRigConfig, StimulationConfig
    from wetloop.engine.engine import Engine
    from wetloop.engine.rig import Stepper
    from wetloop.kernels.culture import CultureState

    Floats = npt.NDArray[np.float64]

LIMITS = StimLimits(
    max_amplitude_mv=900,
    max_charge_nc=4,
    max_charge_density_uc_cm2=900,
    max_imbalance=0.001,
    max_electrodes=32,
    min_interval_ms=4,
    max_rate_hz=100,
    max_array_rate_hz=400,
    max_charge_nc_per_s=500,
    max_charge_nc_per_min=15_000,
    max_charge_nc_per_session=100_000,
)
"""Of a titanium nitride electrode of 30 um."""
NO_PULSES = np.zeros(0, PULSE)
NEGLIGIBLE = 0.02
"""Chance of recruitment below which a cell is out of reach."""


def rig_info(config: SimulatedRigConfig, signal: Signal, gain_uv: float, *, reacts: bool) -> RigInfo:
    """Describe a simulated rig."""
    probe = config.probe
    return RigInfo(
        name=config.kind,
        sampling_frequency=float(config.sampling_frequency_hz),
        probe=grid_probe(probe.columns, probe.rows, probe.pitch_um, probe.diameter_um),
        signal=signal,
        gain_uv=np.full(probe.columns * probe.rows, gain_uv, np.float32),
        packet_samples=config.packet,
        lead_samples=config.lead,
        unit="mV",
        limits=LIMITS,
        electrode_area_um2=math.pi * (probe.diameter_um / 2) ** 2,
        access_resistance_kohm=12.0,
        reacts=reacts,
        latency_ms=config.latency_ms,
        clock_drift_ppm=config.clock_drift_ppm,
    )


class SimulatedCulture:
    """A culture on an electrode array, from cells to packets.

    Parameters
    ----------
    config
        Cells, electrodes and packets.
    seed
        The session's seed: decides the noise, and the culture too where ``culture_seed`` is not set.

    Attributes
    ----------
    info
        The rig's description.
    cells
        Where the cells are.
    state
        All that changes; compiled code may advance it in place of ``read``.
    """

    def __init__(self, config: CultureConfig, seed: int) -> None:
        self.config = config
        self.info = rig_info(config, Signal[config.signal.upper()], config.electrodes.gain_uv, reacts=True)
        if isinstance(config.plasticity, OracleConfig):
            self.info = replace(self.info, name=f"{self.info.name} with an oracle (upper bound, no learning)")
        self._electrodes_um = positions_um(self.info.probe)
        culture_seed = seed if config.culture_seed is None else config.culture_seed
        rng, noise = seeded(culture_seed, "culture"), seeded(seed, "culture noise")
        self.cells: Cells = place_cells(config, self._electrodes_um, rng)
        self.state: CultureState = build_state(config, self.cells, self._electrodes_um, rng, noise)
        self._triggered: list[tuple[int, int]] = []
        self._n_patterns = 0
        self._rule: object = None

    def stepper(self, engine: Engine, *, keep_samples: bool) -> Stepper:
        """Return what runs culture and engine together."""
        from wetloop.culture.stepper import CultureStepper

        return CultureStepper(engine, self, keep_samples=keep_samples)

    def open(self) -> None:
        """Let the network settle, up to its first sample; synapses change from then on."""
        while self._next_sample < 0:
            self._make(min(-self._next_sample, 100 * self.info.frame_samples))
        rule = self.config.plasticity.build(dish_facts(self.config))
        if rule is not None:
            from wetloop.culture.plasticity import connect

            self._rule = connect(self.state.plasticity, rule)

    def read(self) -> Block:
        """Simulate the next packet."""
        return self._make(self.info.packet_samples)

    def prepare(self, table: PatternTable) -> None:
        """Work out what each pattern does to cells and amplifiers."""
        patterns = [pattern for _, pattern in table]
        self._n_patterns = len(patterns)
        network, electrodes = self.state.network, self.state.electrodes
        recruit = np.zeros((max(1, len(patterns)), self.cells.n_slots), np.float32)
        peak_bits = np.zeros((len(recruit), self.info.n_channels), np.float32)
        for k, pattern in enumerate(patterns):
            recruit[k, self.cells.slot] = self.recruitment(pattern)
            peak_bits[k] = self.artefact_uv(pattern) / self.config.electrodes.gain_uv
        tau_samples = self.config.stimulation.artefact_decay_ms * self.info.frame_samples
        largest = float(np.abs(peak_bits).max(initial=1.0))
        electrodes.core["artefact_samples"] = math.ceil(tau_samples * math.log(2 * max(1.0, largest)))
        self.state = self.state._replace(
            network=network._replace(recruit=recruit),
            electrodes=electrodes._replace(artefact_peak=peak_bits),
            plasticity=self.state.plasticity._replace(reach=self._reach(patterns), told=self._told(table)),
        )

    def _reach(self, patterns: list[Pattern]) -> npt.NDArray[np.float32]:
        """Return what a rule sees of each pattern: electrodes at once and strength in mV, shape (n_patterns, 2)."""
        rows = [(len(p.channels), effective_mv(self.config.stimulation, p.pulse)) for p in patterns]
        return np.array(rows or [(0, 0)], np.float32)

    def _told(self, table: PatternTable) -> npt.NDArray[np.float32]:
        """Return what each pattern tells the oracle by its name; the one hole in the walls, empty for other rules."""
        if not isinstance(self.config.plasticity, OracleConfig):
            return np.zeros(0, np.float32)
        values = {"predictable": 1.0, "random": -1.0}
        return np.array([values.get(name.split()[0], 0.0) for name, _ in table] or [0.0], np.float32)

    def trigger(self, pattern: int, at_sample: int) -> None:
        """Plan a pulse; one whose sample is already simulated is refused."""
        if not 0 <= pattern < self._n_patterns:
            raise RigError(f"pattern {pattern} is not among the {self._n_patterns} that were prepared")
        decided = self._simulated_until(0)
        if at_sample < decided:
            raise LatePulseError(
                f"a pulse at sample {at_sample} comes too late: the culture is already simulated up to {decided}; "
                f"decide pulses {self.info.lead_samples} samples ahead"
            )
        insort(self._triggered, (at_sample, pattern))

    def silence(self) -> None:
        """Forget all planned pulses."""
        self._triggered.clear()

    def close(self) -> None:
        """Forget all planned pulses."""
        self._triggered.clear()

    def recruitment(self, pattern: Pattern) -> Floats:
        """Return the chance that the pattern fires each cell, shape (n_cells,)."""
        radius_um = 1000 * recruitment_radius_mm(self.config.stimulation, pattern.pulse)
        where = self._electrodes_um[list(pattern.channels)]
        apart_um = np.linalg.norm(1000 * self.cells.at_mm[:, None] - where[None], axis=2)
        chance = 1 - np.prod(1 - np.exp(-((apart_um / radius_um) ** 2)), axis=1)
        return np.where(chance < NEGLIGIBLE, 0.0, chance)

    def artefact_uv(self, pattern: Pattern) -> Floats:
        """Return the artefact that the pattern leaves on each channel, uV, shape (n_channels,).

        It has the sign of the second phase and falls like the potential in the plane of a disc electrode of radius a:
        2 / pi arcsin(a / d) (Newman 1966).
        """
        where = self._electrodes_um[list(pattern.channels)]
        apart_um = np.linalg.norm(self._electrodes_um[:, None] - where[None], axis=2)
        radius_um = self.config.probe.diameter_um / 2
        share = 2 / np.pi * np.arcsin(radius_um / np.maximum(apart_um, radius_um))
        peak_uv = 1000 * self.config.stimulation.artefact_share * pattern.pulse.second_amplitude
        return np.asarray(peak_uv * share.sum(axis=1), float)

    @property
    def _next_sample(self) -> int:
        ms, left = self.state.network.core["ms"][0], self.state.carry.core["n_samples"][0]
        return int(ms) * self.info.frame_samples - int(left)

    def _simulated_until(self, n_samples: int) -> int:
        return -(-(self._next_sample + n_samples) // self.info.frame_samples) * self.info.frame_samples

    def _make(self, n: int) -> Block:
        start = self._next_sample
        shown = self.info.n_channels if self.info.signal is Signal.SAMPLES else 0
        room = 0 if shown else (n // self.info.frame_samples + 2) * self.info.n_channels
        samples, spikes = np.empty((n, shown), np.int16), np.zeros(room, SPIKE)
        pulses = self._take_pulses(self._simulated_until(n))
        n_spikes = make_packet(self.state, pulses, len(pulses), n, samples, spikes)
        return Block(start, n, samples, spikes[:n_spikes])

    def _take_pulses(self, stop_sample: int) -> npt.NDArray[np.void]:
        if not self._triggered:
            return NO_PULSES
        due = [entry for entry in self._triggered if entry[0] < stop_sample]
        del self._triggered[: len(due)]
        pulses = np.zeros(len(due), PULSE)
        pulses["sample_index"] = [at for at, _ in due]
        pulses["pattern"] = [pattern for _, pattern in due]
        pulses["fate"] = DELIVERED
        return pulses


def effective_mv(config: StimulationConfig, pulse: Pulse) -> float:
    """Return the strength of a pulse: the amplitude that acts as strongly with the reference phase width, mV."""
    reference = 1 + config.chronaxie_us / config.reference_phase_us
    phases = (pulse.first_amplitude, pulse.first_us), (pulse.second_amplitude, pulse.second_us)
    return max(abs(amplitude) * reference / (1 + config.chronaxie_us / width) for amplitude, width in phases)


def recruitment_radius_mm(config: StimulationConfig, pulse: Pulse) -> float:
    """Return how far a pulse recruits cells, mm: a power law through the radii at one and two reference strengths."""
    exponent = math.log2(config.radius_at_double_mm / config.radius_mm)
    return float(config.radius_mm * (effective_mv(config, pulse) / config.reference_mv) ** exponent)
