"""The simulated culture as one compiled step: network, electrodes, and packets of any size cut from milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.kernels.borrow import borrowed
from wetloop.kernels.electrodes import (
    Electrodes,
    add_artefacts,
    copy_spike,
    detect_spikes,
    lay_waveforms,
    render_samples,
)
from wetloop.kernels.jit import inner, kernel
from wetloop.kernels.network import ZERO, Network, fire, send
from wetloop.kernels.plasticity import Plasticity, learn

if TYPE_CHECKING:
    import numpy.typing as npt

    Records = npt.NDArray[np.void]
    Samples = npt.NDArray[np.int16]

CARRY = np.dtype([("n_samples", "<i8"), ("first_spike", "<i8"), ("n_spikes", "<i8")])
"""The last ms: samples left to deliver, the first spike left, spikes in all."""


class Carry(NamedTuple):
    """The last millisecond, of which the next packets deliver what is left.

    Attributes
    ----------
    core
        One CARRY record, shape (1,).
    samples
        The last ms, shape (frame_samples, n_channels).
    spikes
        Its spikes, SPIKE records, room for one on each channel.
    """

    core: Records
    samples: Samples
    spikes: Records


class CultureState(NamedTuple):
    """Everything of a simulated culture: same state and same pulses, same bytes."""

    network: Network
    electrodes: Electrodes
    carry: Carry
    plasticity: Plasticity


@inner
def step_ms(
    state: CultureState,
    pulses: Records,
    n_pulses: int,
    samples: Samples,
    row: int,
    spikes: Records,
    n_spikes: int,
) -> int:
    """Simulate the next millisecond; a kernel that calls this in a loop should have borrowed the state.

    Parameters
    ----------
    pulses, n_pulses
        Delivered pulses that fall into this ms, PULSE records in order of time.
    samples, row
        Where to write int16 samples: rows ``row`` to ``row + frame_samples``; nothing is written if it has no channels.
    spikes, n_spikes
        Where to append SPIKE records if there are no samples; at most one per channel.

    Returns
    -------
    int
        Number of spikes in ``spikes``.
    """
    net, e = state.network, state.electrodes
    start_sample = net.core[0].ms * net.core[0].frame_samples
    n_fired = fire(net, pulses, n_pulses)
    learn(state.plasticity, net, pulses, n_pulses, n_fired)
    send(net, n_fired)
    if samples.shape[1] == 0:
        return detect_spikes(e, net, n_fired, start_sample, spikes, n_spikes)
    lay_waveforms(e, net, n_fired, start_sample)
    render_samples(e, start_sample, samples, row)
    if n_pulses > 0 or e.core[0].artefact_until > start_sample:
        add_artefacts(e, start_sample, pulses, n_pulses, samples, row)
    return n_spikes


@kernel
def next_sample(state: CultureState) -> int:
    """Return the first sample of the next packet."""
    core = state.network.core[0]
    return int(core.ms * core.frame_samples - state.carry.core[0].n_samples)


@kernel
def simulated_until(state: CultureState, n_samples: int) -> int:
    """Return the sample up to which a packet of ``n_samples`` needs to know all pulses: the end of its last ms."""
    frame = int(state.network.core[0].frame_samples)
    return (next_sample(state) + n_samples + frame - 1) // frame * frame


@kernel
def make_packet(
    state: CultureState, pulses: Records, n_pulses: int, n_samples: int, samples: Samples, spikes: Records
) -> int:
    """Fill the next packet and return its number of spikes.

    Parameters
    ----------
    pulses, n_pulses
        Delivered pulses before ``simulated_until(state, n_samples)``, in order of time; all of them are used up.
    samples
        Shape (>= n_samples, n_channels), or (any, 0) for spikes.
    spikes
        Room for one spike per channel and started millisecond.
    """
    state = borrowed(state)
    core, held = state.network.core[0], state.carry
    carry = held.core[0]
    done, first, n_spikes = ZERO, ZERO, ZERO
    while done < n_samples:
        if carry.n_samples == 0:
            last = first
            while last < n_pulses and pulses[last].sample_index < (core.ms + 1) * core.frame_samples:
                last += 1
            carry.n_spikes = step_ms(state, pulses[first:], last - first, held.samples, ZERO, held.spikes, ZERO)
            carry.n_samples, carry.first_spike = core.frame_samples, 0
            first = last
        n = min(carry.n_samples, n_samples - done)
        n_spikes = deliver_carry(held, core.ms * core.frame_samples, n, samples, done, spikes, n_spikes)
        done += n
    return int(n_spikes)


@inner
def deliver_carry(
    held: Carry, end_sample: int, n: int, samples: Samples, row: int, spikes: Records, n_spikes: int
) -> int:
    """Move the next ``n`` samples of the millisecond that ends at ``end_sample``, or their spikes, into a packet."""
    carry = held.core[0]
    first, stop_sample = held.samples.shape[0] - carry.n_samples, end_sample - carry.n_samples + n
    for t in range(n):
        for c in range(samples.shape[1]):
            samples[row + t, c] = held.samples[first + t, c]
    while carry.first_spike < carry.n_spikes and held.spikes[carry.first_spike].sample_index < stop_sample:
        copy_spike(spikes, n_spikes, held.spikes, carry.first_spike)
        carry.first_spike += 1
        n_spikes += 1
    carry.n_samples -= n
    return n_spikes
