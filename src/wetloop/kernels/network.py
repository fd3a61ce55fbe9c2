"""A cultured network, one millisecond at a time.

Leaky integrate-and-fire cells with adaptation (excitatory), depressing synapses, a slow synaptic current, miniature
events and a drift of excitability that excitatory cells share. Excitatory cells come first; both groups are padded to
the vector width with cells that cannot fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.kernels.jit import inner
from wetloop.kernels.random import mix, uniform
from wetloop.kernels.simd import LANES, add, fma, load, mask_lt, mul, splat, store, sub

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int32]
    Records = npt.NDArray[np.void]

V, AMPA, SLOW, GABA, ADAPTATION, RESOURCE = range(6)
"""Rows of ``Network.state``: membrane, fast and slow excitation, inhibition, adaptation (mV); synaptic resource."""

QUANTILES = 4096
ZERO: Any = np.int64(0)
"""Not a literal: a kernel is compiled anew for each literal that it is called with."""
TINY = np.float32(1e-20)
"""Stands for no input: a current that decays to exactly nothing would pass through slow subnormal numbers."""

NETWORK = np.dtype(
    [
        ("ms", "<i8"), ("n_excitatory", "<i8"), ("frame_samples", "<i8"), ("n_resting", "<i8"), ("n_spikes", "<i8"),
        ("n_excitatory_spikes", "<i8"),
        ("seed_mini", "<u8"), ("seed_drift", "<u8"), ("seed_time", "<u8"), ("seed_recruit", "<u8"),
        ("refractory_e_ms", "<i8"), ("refractory_i_ms", "<i8"), ("drift_mv", "<f8"), ("drift_decay", "<f8"),
        ("drift_step_mv", "<f8"), ("membrane_e", "<f4"), ("membrane_i", "<f4"), ("ampa", "<f4"), ("slow", "<f4"),
        ("gaba", "<f4"), ("adaptation", "<f4"), ("recovery", "<f4"), ("slow_share", "<f4"), ("adaptation_mv", "<f4"),
        ("depression_share", "<f4"), ("mini_mv", "<f4"), ("reserved", "<f4"),
    ]
)  # fmt: skip
"""Scalars of a network: its clock (``ms`` is the next millisecond), seeds of its random streams, factors per ms."""


class Network(NamedTuple):
    """All of a network; a copy of the arrays is a checkpoint.

    Attributes
    ----------
    core
        One NETWORK record, shape (1,).
    state
        Shape (6, n_cells), rows as named above.
    bias_mv, threshold_mv
        Tonic drive and firing threshold above rest, shape (n_cells,).
    ready_ms
        First millisecond in which a cell can fire again, shape (n_cells,).
    resting
        The cells that are refractory, the first ``core.n_resting`` entries.
    arriving
        Ring of synaptic input in mV, shape (2, n_delays * n_cells): excitation and inhibition, by millisecond.
    landing
        Where in the ring a synapse arrives, counted from the present: delay_ms * n_cells + target, (n_cells, n_out).
    weight_mv
        Peak drive of each synapse, mV, shape (n_cells, n_out).
    recruit
        Chance that a pulse of a pattern fires a cell, shape (n_patterns, n_cells).
    mini_counts
        Quantiles of the number of miniature events per ms, shape (QUANTILES,).
    fired, offset
        Cells that fired in the last ms and their sample within it, the first ``n_fired`` entries.
    """

    core: Records
    state: Floats
    bias_mv: Floats
    threshold_mv: Floats
    ready_ms: npt.NDArray[np.int64]
    resting: Integers
    arriving: Floats
    landing: Integers
    weight_mv: Floats
    recruit: Floats
    mini_counts: Integers
    fired: Integers
    offset: Integers


@inner
def normal(seed: int, counter: int) -> float:
    """Return a nearly normal number (mean 0, variance 1, within +-3.46): the sum of four uniform ones."""
    bits = mix(seed, counter)
    low = np.uint64(0xFFFF)
    total = (bits & low) + ((bits >> np.uint64(16)) & low) + ((bits >> np.uint64(32)) & low) + (bits >> np.uint64(48))
    return (np.float64(total) - 131070.0) / 37837.22725613459


@inner
def fire(net: Network, pulses: Records, n_pulses: int) -> int:
    """Advance all cells by 1 ms under the pulses that fall into it and return how many fired."""
    core = net.core[0]
    drift = core.drift_mv * core.drift_decay + core.drift_step_mv * normal(core.seed_drift, core.ms)
    core.drift_mv = drift
    add_minis(net)
    n_e, n = core.n_excitatory, net.bias_mv.size
    n_fired = integrate(net, ZERO, n_e, core.membrane_e, drift, ZERO)
    n_fired = integrate(net, n_e, n, core.membrane_i, 0.0, n_fired)
    hold_refractory(net)
    for k in range(n_fired):
        net.offset[k] = np.int32(uniform(core.seed_time, core.ms * n + net.fired[k]) * core.frame_samples)
        reset(net, net.fired[k])
    for q in range(n_pulses):
        n_fired = recruit_cells(net, pulses[q].sample_index, pulses[q].pattern, n_fired)
    return n_fired


@inner
def send(net: Network, n_fired: int) -> None:
    """Send the spikes of the cells that fired to their targets and end the millisecond."""
    core = net.core[0]
    for k in range(n_fired):
        transmit(net, net.fired[k])
    core.ms += 1
    core.n_spikes += n_fired


@inner
def add_minis(net: Network) -> None:
    """Give a Poisson number of miniature events to cells drawn at random."""
    core = net.core[0]
    n = np.uint64(net.bias_mv.size)
    half = np.uint64(32)
    first = core.ms * QUANTILES
    n_minis = net.mini_counts[np.int64(mix(core.seed_mini, first) % np.uint64(QUANTILES))]
    for pair in range((n_minis + 1) // 2):
        bits = mix(core.seed_mini, first + 1 + pair)
        net.state[AMPA, np.int64(((bits & np.uint64(0xFFFFFFFF)) * n) >> half)] += core.mini_mv
        if 2 * pair + 1 < n_minis:
            net.state[AMPA, np.int64(((bits >> half) * n) >> half)] += core.mini_mv


@inner
def integrate(net: Network, first: int, stop: int, membrane: float, drift_mv: float, n_fired: int) -> int:
    """Advance cells [first, stop) by 1 ms and append those over threshold to ``fired``; exact exponential membrane."""
    core, state, n = net.core[0], net.state, net.bias_mv.size
    excitation = (core.ms * n) % net.arriving.shape[1]
    inhibition = net.arriving.shape[1] + excitation
    k_ampa, k_slow, k_gaba, k_adaptation = (
        splat(core.ampa),
        splat(core.slow),
        splat(core.gaba),
        splat(core.adaptation),
    )
    k_recovery, k_membrane, share = splat(core.recovery), splat(membrane), splat(core.slow_share)
    drift, tiny, one = splat(drift_mv), splat(TINY), splat(np.float32(1.0))
    for i in range(first, stop, LANES):
        excited = load(net.arriving, excitation + i)
        ampa = fma(load(state, AMPA * n + i), k_ampa, excited)
        slow = fma(load(state, SLOW * n + i), k_slow, mul(excited, share))
        gaba = fma(load(state, GABA * n + i), k_gaba, load(net.arriving, inhibition + i))
        adaptation = fma(load(state, ADAPTATION * n + i), k_adaptation, tiny)
        resource = load(state, RESOURCE * n + i)
        store(net.arriving, excitation + i, tiny)
        store(net.arriving, inhibition + i, tiny)
        store(state, AMPA * n + i, ampa)
        store(state, SLOW * n + i, slow)
        store(state, GABA * n + i, gaba)
        store(state, ADAPTATION * n + i, adaptation)
        store(state, RESOURCE * n + i, fma(sub(one, resource), k_recovery, resource))
        drive = sub(add(add(ampa, slow), add(load(net.bias_mv, i), drift)), add(gaba, adaptation))
        v = fma(sub(load(state, V * n + i), drive), k_membrane, drive)
        store(state, V * n + i, v)
        over = mask_lt(load(net.threshold_mv, i), v)
        if over != 0:
            for lane in range(LANES):
                if (over >> lane) & 1 and net.ready_ms[i + lane] <= core.ms:
                    net.fired[n_fired] = i + lane
                    n_fired += 1
    return n_fired


@inner
def hold_refractory(net: Network) -> None:
    """Keep the membrane of refractory cells at rest, and let those go whose time is over."""
    core = net.core[0]
    k = 0
    while k < core.n_resting:
        i = net.resting[k]
        if net.ready_ms[i] <= core.ms:
            core.n_resting -= 1
            net.resting[k] = net.resting[core.n_resting]
        else:
            net.state[V, i] = 0.0
            k += 1


@inner
def reset(net: Network, cell: int) -> None:
    """Take a cell that fired to rest and start its refractory time."""
    core = net.core[0]
    net.state[V, cell] = 0.0
    refractory = core.refractory_e_ms if cell < core.n_excitatory else core.refractory_i_ms
    net.ready_ms[cell] = core.ms + 1 + refractory
    net.resting[core.n_resting] = cell
    core.n_resting += 1


@inner
def recruit_cells(net: Network, sample_index: int, pattern: int, n_fired: int) -> int:
    """Append the cells that a pulse fires; they spike 0.2 to 0.4 ms after it, at the latest as the ms ends."""
    core, n = net.core[0], net.bias_mv.size
    frame = core.frame_samples
    pulse_offset = max(0, sample_index - core.ms * frame)
    draw = (sample_index * net.recruit.shape[0] + pattern) * n
    for i in range(n):
        chance = net.recruit[pattern, i]
        if chance > 0.0 and net.ready_ms[i] <= core.ms:
            u = uniform(core.seed_recruit, draw + i)
            if u < chance:
                net.fired[n_fired] = i
                latency = np.int64((1.0 + u / chance) * frame) // 5
                net.offset[n_fired] = min(pulse_offset + latency, frame - 1)
                reset(net, net.fired[n_fired])
                n_fired += 1
    return n_fired


@inner
def transmit(net: Network, cell: int) -> None:
    """Send a spike to the cell's targets; excitatory cells adapt and their synapses depress."""
    core, state, n = net.core[0], net.state, net.bias_mv.size
    size = net.arriving.shape[1]
    lane, drive = 1, np.float32(1.0)
    if cell < core.n_excitatory:
        lane, drive = 0, state[RESOURCE, cell]
        state[RESOURCE, cell] -= core.depression_share * drive
        state[ADAPTATION, cell] += core.adaptation_mv
        core.n_excitatory_spikes += 1
    now = (core.ms * n) % size
    for q in range(net.landing.shape[1]):
        at = now + net.landing[cell, q]
        if at >= size:
            at -= size
        net.arriving[lane, at] += net.weight_mv[cell, q] * drive
