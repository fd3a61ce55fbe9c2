"""What electrodes see of cells that fire: spikes over a threshold, or samples with waveforms, noise and artefacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.kernels.jit import kernel
from wetloop.kernels.network import normal
from wetloop.kernels.random import mix

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.kernels.network import Network

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int32]
    Records = npt.NDArray[np.void]
    Samples = npt.NDArray[np.int16]

LOWEST, HIGHEST = np.int32(-32768), np.int32(32767)

ELECTRODES = np.dtype(
    [
        ("seed_sight", "<u8"), ("seed_noise", "<u8"), ("frame_samples", "<i8"), ("noise_uv", "<f8"),
        ("threshold_uv", "<f8"), ("bits_per_uv", "<f8"), ("artefact_decay", "<f4"), ("reserved", "<f4"),
        ("artefact_samples", "<i8"), ("artefact_until", "<i8"),
    ]
)  # fmt: skip
"""Scalars of the electrodes; artefacts last ``artefact_samples``, the last one until ``artefact_until``."""


class Electrodes(NamedTuple):
    """All that lies between cells and channels.

    Attributes
    ----------
    core
        One ELECTRODES record, shape (1,).
    seen_first
        Entries ``seen_first[cell]`` to ``seen_first[cell + 1]`` of the next two belong to a cell, shape (n_cells + 1,).
    seen_channel, seen_uv
        Channels that see the cell, and the peak of its spike there in uV (positive).
    last_sample
        Last spike of each channel, shape (n_channels,).
    order, n_before
        Scratch: spikes by time, shape (n_cells,); counts per sample, shape (frame_samples + 1,).
    template
        Waveform with a negative peak of -1, shape (n_template,).
    ahead
        Ring of rows of what is still to come of waveforms, in bits, shape (power of two, n_channels).
    bank
        Noise in bits with half the variance of the noise, shape (n_rows, n_channels); no channels in spikes mode.
    artefact
        What is left of past pulses, in bits, shape (n_channels,).
    artefact_peak
        What a pulse adds, in bits, shape (n_patterns, n_channels).
    """

    core: Records
    seen_first: Integers
    seen_channel: Integers
    seen_uv: Floats
    last_sample: npt.NDArray[np.int64]
    order: Integers
    n_before: Integers
    template: Floats
    ahead: Integers
    bank: Samples
    artefact: Floats
    artefact_peak: Floats


@kernel
def detect_spikes(e: Electrodes, net: Network, n_fired: int, start_sample: int, spikes: Records, n_spikes: int) -> int:
    """Append the spikes that noise leaves over threshold, by time then channel; within 1 ms on a channel they merge."""
    core, n_pairs = e.core[0], e.seen_uv.size
    order_by_time(e, net, n_fired)
    for f in range(n_fired):
        cell, at = net.fired[e.order[f]], start_sample + net.offset[e.order[f]]
        for q in range(e.seen_first[cell], e.seen_first[cell + 1]):
            channel = e.seen_channel[q]
            if at - e.last_sample[channel] >= core.frame_samples:
                seen_uv = e.seen_uv[q] + core.noise_uv * normal(core.seed_sight, at * n_pairs + q)
                if seen_uv > core.threshold_uv:
                    e.last_sample[channel] = at
                    insert_spike(spikes, n_spikes, at, channel, -seen_uv)
                    n_spikes += 1
    return n_spikes


@kernel
def order_by_time(e: Electrodes, net: Network, n_fired: int) -> None:
    """Sort the cells that fired by their sample (a counting sort, stable)."""
    n_before = e.n_before
    for t in range(n_before.size):
        n_before[t] = 0
    for f in range(n_fired):
        n_before[net.offset[f] + 1] += 1
    for t in range(1, n_before.size):
        n_before[t] += n_before[t - 1]
    for f in range(n_fired):
        e.order[n_before[net.offset[f]]] = f
        n_before[net.offset[f]] += 1


@kernel
def insert_spike(spikes: Records, n_spikes: int, at: int, channel: int, amplitude_uv: float) -> None:
    """Put a spike behind the first ``n_spikes``, but before those of the same sample and a higher channel."""
    j = n_spikes
    while j > 0 and spikes[j - 1].sample_index == at and spikes[j - 1].channel_index > channel:
        copy_spike(spikes, j, spikes, j - 1)
        j -= 1
    put_spike(spikes, j, at, channel, amplitude_uv)


@kernel
def put_spike(spikes: Records, i: int, at: int, channel: int, amplitude_uv: float) -> None:
    """Write ``spikes[i]``, known as it happens."""
    spike = spikes[i]
    spike.sample_index = at
    spike.known_sample = at
    spike.channel_index = channel
    spike.amplitude_uv = amplitude_uv


@kernel
def copy_spike(to: Records, i: int, spikes: Records, j: int) -> None:
    """Copy ``spikes[j]`` to ``to[i]``, field by field: a record assignment costs compilation time."""
    to[i].sample_index = spikes[j].sample_index
    to[i].known_sample = spikes[j].known_sample
    to[i].channel_index = spikes[j].channel_index
    to[i].amplitude_uv = spikes[j].amplitude_uv


@kernel
def lay_waveforms(e: Electrodes, net: Network, n_fired: int, start_sample: int) -> None:
    """Add the waveforms of the cells that fired to the rows to come; a waveform starts as its cell fires."""
    bits_per_uv, mask = e.core[0].bits_per_uv, e.ahead.shape[0] - 1
    for f in range(n_fired):
        cell, at = net.fired[f], start_sample + net.offset[f]
        for q in range(e.seen_first[cell], e.seen_first[cell + 1]):
            bits, channel = e.seen_uv[q] * bits_per_uv, e.seen_channel[q]
            for t in range(e.template.size):
                e.ahead[(at + t) & mask, channel] += np.int32(np.floor(e.template[t] * bits + 0.5))


@kernel
def render_samples(e: Electrodes, start_sample: int, samples: Samples, row: int) -> None:
    """Write one frame to ``samples`` from ``row`` on: two random stretches of noise and the waveforms."""
    core, mask = e.core[0], e.ahead.shape[0] - 1
    n_stretches = np.uint64(e.bank.shape[0] - core.frame_samples + 1)
    bits = mix(core.seed_noise, start_sample)
    one = np.int64((bits >> np.uint64(32)) % n_stretches)
    two = np.int64((bits & np.uint64(0xFFFFFFFF)) % n_stretches)
    for t in range(core.frame_samples):
        r = (start_sample + t) & mask
        for c in range(samples.shape[1]):
            level: Any = np.int32(e.bank[one + t, c]) + np.int32(e.bank[two + t, c]) + e.ahead[r, c]
            samples[row + t, c] = min(max(level, LOWEST), HIGHEST)
            e.ahead[r, c] = 0


@kernel
def add_artefacts(e: Electrodes, start_sample: int, pulses: Records, n_pulses: int, samples: Samples, row: int) -> None:
    """Add to one frame what pulses of this and earlier frames leave on the amplifiers, up to the rails."""
    core, q = e.core[0], 0
    for t in range(core.frame_samples):
        while q < n_pulses and pulses[q].sample_index <= start_sample + t:
            core.artefact_until = start_sample + t + core.artefact_samples
            for c in range(e.artefact.size):
                e.artefact[c] += e.artefact_peak[pulses[q].pattern, c]
            q += 1
        for c in range(e.artefact.size):
            level: Any = np.int32(samples[row + t, c]) + np.int32(e.artefact[c])
            samples[row + t, c] = min(max(level, LOWEST), HIGHEST)
            e.artefact[c] *= core.artefact_decay
    if core.artefact_until <= start_sample + core.frame_samples:
        for c in range(e.artefact.size):
            e.artefact[c] = 0.0
