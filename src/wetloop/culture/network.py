"""Builds the arrays of a culture from its configuration: cells, wiring, and which electrodes see which cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.culture import CARRY, Carry
from wetloop.kernels.electrodes import ELECTRODES, Electrodes
from wetloop.kernels.network import NETWORK, QUANTILES, RESOURCE, TINY, Network, V
from wetloop.kernels.records import SPIKE
from wetloop.kernels.simd import LANES

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.culture.config import CultureConfig, NetworkConfig

    Floats = npt.NDArray[np.float64]

NOISE_ROWS = 8192
SIGHT_SIGMA = 3.0
"""Spikes signal: noise never lifts a spike by more, so smaller ones need not be tried."""
LEAST_SHARE = 0.5
"""Samples signal: waveforms under this share of the noise are left out."""


@dataclass(frozen=True)
class Cells:
    """Where the cells are.

    Attributes
    ----------
    at_mm
        Positions, mm, shape (n_cells, 2).
    excitatory
        Shape (n_cells,).
    slot
        Index of each cell in the padded arrays of the kernels, shape (n_cells,).
    n_excitatory_slots, n_slots
        Sizes of the padded groups, multiples of the vector width.
    """

    at_mm: Floats
    excitatory: npt.NDArray[np.bool_]
    slot: npt.NDArray[np.int64]
    n_excitatory_slots: int
    n_slots: int


def place_cells(config: CultureConfig, electrodes_um: Floats, rng: np.random.Generator) -> Cells:
    """Scatter cells evenly over the dish, which reaches ``margin_um`` beyond the electrodes."""
    n, n_e = config.cells, round(config.cells * config.network.excitatory_share)
    low = electrodes_um.min(axis=0) - config.network.margin_um
    high = electrodes_um.max(axis=0) + config.network.margin_um
    index = np.arange(n)
    gap = -n_e % LANES
    return Cells(
        at_mm=rng.uniform(low, high, (n, 2)) / 1000,
        excitatory=index < n_e,
        slot=np.where(index < n_e, index, index + gap),
        n_excitatory_slots=n_e + gap,
        n_slots=n + gap + -(n + gap) % LANES,
    )


def wire(config: NetworkConfig, cells: Cells, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return targets, delays in ms and weights in mV of every cell's synapses, each of shape (n_cells, n_out)."""
    n, e = len(cells.at_mm), cells.excitatory
    targets = np.empty((n, config.synapses_per_cell), np.int64)
    distance_mm = np.empty(targets.shape)
    for i in range(n):
        apart = np.linalg.norm(cells.at_mm - cells.at_mm[i], axis=1)
        near = np.exp(-apart / (config.wiring_length_mm * (1.0 if e[i] else config.inhibitory_length_share)))
        near[i] = 0
        far_share = config.long_range_share if e[i] else 0.0
        chance = near / near.sum() * (1 - far_share) + far_share / n
        chance[i] = 1e-300
        targets[i] = np.argpartition(rng.exponential(1, n) / chance, config.synapses_per_cell)[: targets.shape[1]]
        distance_mm[i] = apart[targets[i]]
    delay = np.maximum(1, np.round(config.synapse_delay_ms + distance_mm / config.axon_speed_mm_per_ms))
    pre, post = e[:, None], e[targets]
    mean = np.where(
        pre,
        np.where(post, config.weight_ee_mv, config.weight_ei_mv),
        np.where(post, config.weight_ie_mv, config.weight_ii_mv),
    )
    weight = mean * np.clip(rng.normal(1, config.weight_spread, mean.shape), 0.05, 3)
    return targets, delay, np.minimum(weight, config.weight_max_mv)


def build_network(config: CultureConfig, cells: Cells, rng: np.random.Generator, noise: np.random.Generator) -> Network:
    """Return the network, ``settle_s`` before its first sample; ``rng`` makes the culture, ``noise`` its days."""
    c, n, slot = config.network, cells.n_slots, cells.slot
    targets, delay, weight = wire(c, cells, rng)
    landing = np.zeros((n, c.synapses_per_cell), np.int32)
    weight_mv = np.zeros(landing.shape, np.float32)
    landing[slot], weight_mv[slot] = delay * n + slot[targets], weight
    bias, threshold = np.zeros(n, np.float32), np.full(n, np.inf, np.float32)
    mean_mv = c.bias_mv + np.where(cells.excitatory, 0.0, c.bias_inhibitory_mv)
    bias[slot] = rng.normal(mean_mv, c.bias_spread_mv)
    threshold[slot] = rng.normal(c.threshold_mv, c.threshold_spread_mv, config.cells)
    state = np.zeros((6, n), np.float32)
    state[V, slot], state[RESOURCE] = rng.uniform(0, 10, config.cells), 1
    return Network(
        core=_network_core(config, cells, noise),
        state=state,
        bias_mv=bias,
        threshold_mv=threshold,
        ready_ms=np.full(n, -(1 << 62), np.int64),
        resting=np.zeros(n, np.int32),
        arriving=np.full((2, (int(delay.max()) + 1) * n), TINY, np.float32),
        landing=landing,
        weight_mv=weight_mv,
        recruit=np.zeros((1, n), np.float32),
        mini_counts=poisson_quantiles(n * c.mini_rate_hz / 1000),
        fired=np.zeros(n, np.int32),
        offset=np.zeros(n, np.int32),
    )


def poisson_quantiles(mean: float) -> npt.NDArray[np.int32]:
    """Return the Poisson counts at QUANTILES evenly spaced probabilities."""
    counts = np.arange(1, round(mean + 10 * np.sqrt(mean)) + 10)
    log_chance = np.cumsum(np.log(mean / counts)) - mean if mean else np.full(len(counts), -np.inf)
    cumulative = np.exp(-mean) + np.concatenate([[0], np.cumsum(np.exp(log_chance))])
    return np.searchsorted(cumulative, (np.arange(QUANTILES) + 0.5) / QUANTILES).astype(np.int32)


def _network_core(config: CultureConfig, cells: Cells, noise: np.random.Generator) -> npt.NDArray[np.void]:
    c, core = config.network, np.zeros(1, NETWORK)
    core["ms"] = -round(config.settle_s * 1000)
    core["n_excitatory"], core["frame_samples"] = cells.n_excitatory_slots, config.frame_samples
    for name in ("mini", "drift", "time", "recruit"):
        core[f"seed_{name}"] = noise.integers(1 << 63)
    core["refractory_e_ms"], core["refractory_i_ms"] = c.refractory_e_ms, c.refractory_i_ms
    core["drift_decay"] = _decay(c.drift_tau_ms)
    core["drift_step_mv"] = c.drift_mv * np.sqrt(1 - _decay(c.drift_tau_ms) ** 2)
    core["membrane_e"], core["membrane_i"] = _decay(c.membrane_tau_e_ms), _decay(c.membrane_tau_i_ms)
    core["ampa"], core["slow"], core["gaba"] = (
        _decay(c.ampa_tau_ms),
        _decay(c.slow_tau_ms),
        _decay(c.gaba_tau_ms),
    )
    core["adaptation"], core["recovery"] = _decay(c.adaptation_tau_ms), 1 - _decay(c.depression_tau_ms)
    core["slow_share"], core["adaptation_mv"] = c.slow_share, c.adaptation_mv
    core["depression_share"], core["mini_mv"] = c.depression_share, c.mini_mv / _decay(c.ampa_tau_ms)
    return core


def _decay(tau_ms: float) -> float:
    return float(np.exp(-1.0 / tau_ms))


def build_electrodes(
    config: CultureConfig,
    cells: Cells,
    electrodes_um: Floats,
    rng: np.random.Generator,
    noise: np.random.Generator,
) -> Electrodes:
    """Return what the electrodes see: amplitudes halve every ``half_distance_um``."""
    c, frame, n_channels = config.electrodes, config.frame_samples, len(electrodes_um)
    samples = config.signal == "samples"
    least_uv = c.noise_uv * (LEAST_SHARE if samples else c.threshold_sigma - SIGHT_SIGMA)
    peak_uv = c.amplitude_uv * np.exp(rng.normal(0, c.amplitude_spread, len(cells.at_mm)))
    apart_um = np.linalg.norm(1000 * cells.at_mm[:, None] - electrodes_um[None], axis=2)
    seen_uv = np.zeros((cells.n_slots, n_channels))
    seen_uv[cells.slot] = peak_uv[:, None] * 2.0 ** (-apart_um / c.half_distance_um)
    cell, channel = np.nonzero(seen_uv > max(least_uv, c.gain_uv))
    wave = template(config.sampling_frequency_hz)
    core = np.zeros(1, ELECTRODES)
    core["seed_sight"], core["seed_noise"] = noise.integers(1 << 63), noise.integers(1 << 63)
    core["frame_samples"], core["noise_uv"], core["bits_per_uv"] = frame, c.noise_uv, 1 / c.gain_uv
    core["threshold_uv"] = c.threshold_sigma * c.noise_uv
    core["artefact_decay"] = np.exp(-1 / (config.stimulation.artefact_decay_ms * frame))
    shown = n_channels if samples else 0
    bank = noise.normal(0, c.noise_uv / c.gain_uv / np.sqrt(2), (NOISE_ROWS, shown))
    return Electrodes(
        core=core,
        seen_first=np.searchsorted(cell, np.arange(cells.n_slots + 1)).astype(np.int32),
        seen_channel=channel.astype(np.int32),
        seen_uv=seen_uv[cell, channel].astype(np.float32),
        last_sample=np.full(n_channels, -(1 << 62), np.int64),
        order=np.zeros(cells.n_slots, np.int32),
        n_before=np.zeros(frame + 1, np.int32),
        template=wave,
        ahead=np.zeros((1 << (frame + len(wave)).bit_length(), shown), np.int32),
        bank=np.round(bank).astype(np.int16),
        artefact=np.zeros(n_channels, np.float32),
        artefact_peak=np.zeros((1, n_channels), np.float32),
    )


def template(sampling_frequency: float) -> npt.NDArray[np.float32]:
    """Return an extracellular waveform of 1.5 ms: a negative peak of -1 at 0.3 ms, then a slow positive phase."""
    t_ms = np.arange(round(1.5 * sampling_frequency / 1000)) * 1000 / sampling_frequency
    wave = 0.35 * np.exp(-(((t_ms - 0.7) / 0.25) ** 2)) - np.exp(-(((t_ms - 0.3) / 0.12) ** 2))
    scaled: npt.NDArray[np.float32] = (wave / -wave.min()).astype(np.float32)
    return scaled


def build_carry(config: CultureConfig, n_channels: int) -> Carry:
    """Return an empty carry."""
    shown = n_channels if config.signal == "samples" else 0
    samples = np.zeros((config.frame_samples, shown), np.int16)
    return Carry(np.zeros(1, CARRY), samples, np.zeros(n_channels, SPIKE))
