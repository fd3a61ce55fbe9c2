"""Culture and engine together in compiled code, up to the next decision: no Python and no copy in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.engine.advance import advance
from wetloop.engine.rig import NO_SAMPLES
from wetloop.kernels.borrow import borrowed
from wetloop.kernels.culture import make_packet, next_sample, simulated_until
from wetloop.kernels.jit import counted, inner
from wetloop.kernels.records import DELIVERED, PULSE, SPIKE
from wetloop.kernels.rings import STIMULATOR, front, release, waiting

if TYPE_CHECKING:
    from wetloop.core.types import Records, Samples
    from wetloop.culture.rig import SimulatedCulture
    from wetloop.engine.engine import Engine
    from wetloop.kernels.rings import Ring

MOST_PULSES = 4096
"""Delivered pulses that one packet can hold; the guard's array rate keeps far below it."""


class CultureStepper:
    """Moves a simulated culture and the engine forward; delivered pulses reach the cells straight from the ring."""

    def __init__(self, engine: Engine, culture: SimulatedCulture, *, keep_samples: bool) -> None:
        info = culture.info
        n_channels = culture.state.carry.samples.shape[1]
        self._engine, self._culture, self._packet = engine, culture, info.packet_samples
        self._pulses = np.zeros(MOST_PULSES, PULSE)
        self._samples = np.zeros((info.packet_samples, n_channels), np.int16)
        self._spikes = np.zeros((info.packet_samples // info.frame_samples + 2) * info.n_channels, SPIKE)
        self._keep = keep_samples and n_channels > 0
        self._copy: Samples = np.zeros((0, n_channels), np.int16)
        self._kept: list[Samples] = []

    def warm_up(self) -> None:
        """Run no packet."""
        self.run_until(self.start())

    def start(self) -> int:
        """Bind the culture's arrays, which ``prepare`` has completed by now."""
        self._handle = self._engine.handle(self._culture.state)
        return int(next_sample(self._culture.state))

    def run_until(self, sample: int) -> None:
        """Run packets until ``sample`` is reached."""
        if self._keep:
            self._make_room(sample)
        n = run(self._handle, sample, self._packet, self._pulses, self._samples, self._spikes, self._copy)
        if self._keep:
            self._kept.append(self._copy[:n].copy())

    def _make_room(self, sample: int) -> None:
        rows = sample - int(next_sample(self._culture.state)) + self._packet
        if rows > len(self._copy):
            self._copy = np.zeros((rows, self._samples.shape[1]), np.int16)

    def samples(self) -> Samples:
        """Return the kept samples, once."""
        kept, self._kept = self._kept, []
        return np.concatenate(kept) if kept else NO_SAMPLES


@counted
def run(handle: Any, stop: int, packet: int, pulses: Records, samples: Samples, spikes: Records, copy: Samples) -> int:
    """Make packets and advance the engine over them until ``stop``; return the rows copied to ``copy``."""
    engine, rings, culture, n = borrowed(handle.engine), borrowed(handle.rings), borrowed(handle.source), 0
    start = next_sample(culture)
    while start < stop:
        n_pulses = take_due(rings.pulses, simulated_until(culture, packet), pulses)
        n_spikes = make_packet(culture, pulses, n_pulses, packet, samples, spikes)
        advance(engine, rings, start, packet, 0, samples, spikes[:n_spikes], start + packet)
        if copy.shape[0] > 0:
            for t in range(packet):
                for c in range(samples.shape[1]):
                    copy[n + t, c] = samples[t, c]
            n += packet
        start += packet
    return n


@inner
def take_due(ring: Ring, stop_sample: int, pulses: Records) -> int:
    """Move the delivered pulses before ``stop_sample`` from the ring to ``pulses``; return how many."""
    n = 0
    while waiting(ring, STIMULATOR) > 0:
        p = ring.slots[front(ring, STIMULATOR)]
        if p.sample_index >= stop_sample:
            break
        if p.fate == DELIVERED and n < pulses.size:
            pulses[n] = p
            n += 1
        release(ring, STIMULATOR)
    return n
