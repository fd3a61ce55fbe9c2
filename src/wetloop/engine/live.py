"""What the processes of a real-time session share (packets, rings, control words), and the engine's own loop.

The source writes packets at the rig's pace; the engine follows with absolute deadlines (sleep to shortly before, then
spin with pauses, never a full spin); everybody else polls. Nobody who can pause Python can pause the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.core.rig_clock import ESTIMATE
from wetloop.engine.advance import advance
from wetloop.engine.alarm_rows import ALARM, HELD
from wetloop.engine.detector import plane_shape
from wetloop.engine.engine import EngineRecords
from wetloop.engine.words import (
    ARRIVAL,
    BEAT,
    CONTROL_WORDS,
    FORWARDED,
    HEALTH,
    HELD_BACK,
    LATE_BLOCKS,
    NOTE,
    NOTES,
    POSITION,
    SILENCE,
    STOP,
)
from wetloop.kernels.borrow import borrowed
from wetloop.kernels.clock import now_ns, pause, sleep_until_ns
from wetloop.kernels.jit import counted, inner, kernel
from wetloop.kernels.records import BLOCK, COMMAND, DELIVERED, DELIVERY, FATES, KINDS, PULSE, SPIKE
from wetloop.kernels.rings import (
    ENGINE,
    HEAD,
    RECORDER,
    SESSION,
    STIMULATOR,
    Ring,
    commit,
    front,
    load_acquire,
    release,
    reserve,
    reserve_slot,
    store_release,
    waiting,
)
from wetloop.kernels.state import CORE, LINK, Rings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from wetloop.core.types import Block, Records, RigInfo
    from wetloop.engine.arena import Arena
    from wetloop.kernels.records import Record

SPIN_NS = 150_000
NAP_NS = 50_000
LONG_NAP_NS = 10_000_000
DEPTH_S = 4.0
"""Rig time that the packet ring holds: how long engine and recorder may be away before samples are lost."""
FRAMES_HELD = 128
"""Pictures of the game that may wait for the recorder."""

PACKET = np.dtype(
    [
        ("start_sample", "<i8"), ("n_samples", "<i4"), ("lost_samples", "<i4"), ("n_spikes", "<i4"),
        ("reserved", "<i4"), ("arrival_ns", "<i8"),
    ]
)  # fmt: skip


class Packets(NamedTuple):
    """What the rig delivers: PACKET records, samples (depth, n, n_channels) and spikes (depth, most)."""

    ring: Ring
    samples: npt.NDArray[np.int16]
    spikes: Records


class Forwarding(NamedTuple):
    """What the stimulator's process reads, where triggers go, and where it keeps account."""

    pulses: Ring
    triggers: Ring
    deliveries: Ring


class Shared(NamedTuple):
    """Every array of a real-time session."""

    control: npt.NDArray[np.int64]
    records: EngineRecords
    rings: Rings
    packets: Packets
    triggers: Ring
    deliveries: Ring
    refusals: Ring
    decisions: Ring
    operator: Ring
    frames: Ring
    clock: Ring
    alarms: Ring
    health: Records
    notes: Records

    @classmethod
    def of(cls, arena: Arena) -> Shared:
        """Return the arrays of an arena."""
        return cls(
            control=arena.arrays["control"],
            records=EngineRecords(*(arena.arrays[name] for name in EngineRecords._fields)),
            rings=Rings(*(arena.ring(name) for name in Rings._fields)),
            packets=Packets(arena.ring("packets"), arena.arrays["packets.samples"], arena.arrays["packets.spikes"]),
            triggers=arena.ring("triggers"),
            deliveries=arena.ring("deliveries"),
            refusals=arena.ring("refusals"),
            decisions=arena.ring("decisions"),
            operator=arena.ring("operator"),
            frames=arena.ring("frames"),
            clock=arena.ring("clock"),
            alarms=arena.ring("alarms"),
            health=arena.arrays["health"],
            notes=arena.arrays["notes"],
        )


READERS: dict[str, tuple[int, ...]] = {
    "spikes": (SESSION, RECORDER),
    "pulses": (STIMULATOR, RECORDER),
    "blocks": (RECORDER,),
    "commands": (ENGINE,),
    "operator": (RECORDER,),
    "packets": (ENGINE,),
    "triggers": (ENGINE,),
    "deliveries": (RECORDER,),
    "refusals": (RECORDER,),
    "decisions": (RECORDER,),
    "frames": (RECORDER,),
    "clock": (RECORDER,),
    "alarms": (RECORDER,),
}
"""Who reads each ring reliably; ``triggers`` go back to a source that is its own stimulator."""


def shared_spec(
    info: RigInfo, decision_dtype: np.dtype[np.void], frame_dtype: np.dtype[np.void]
) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
    """Return the arrays of a session on this rig, by name, as (dtype, shape)."""
    from wetloop.core.types import Signal
    from wetloop.engine.arena import ring_spec

    depth = max(64, int(DEPTH_S * info.sampling_frequency / info.packet_samples))
    n_channels = info.n_channels if info.signal is Signal.SAMPLES else 0
    most_spikes = 1 if n_channels else info.n_channels * (info.packet_samples // info.frame_samples + 2)
    rings = {
        "spikes": (SPIKE, 1 << 17), "pulses": (PULSE, 1 << 14), "blocks": (BLOCK, 1 << 15),
        "commands": (COMMAND, 1 << 12), "operator": (COMMAND, 1 << 8), "packets": (PACKET, depth),
        "triggers": (DELIVERY, 1 << 12), "deliveries": (DELIVERY, 1 << 14), "refusals": (DELIVERY, 1 << 12),
        "decisions": (decision_dtype, 1 << 14), "frames": (frame_dtype, FRAMES_HELD), "clock": (ESTIMATE, 1 << 6),
        "alarms": (ALARM, HELD),
    }  # fmt: skip
    spec: dict[str, tuple[Any, tuple[int, ...]]] = {
        "control": (np.dtype("<i8"), (CONTROL_WORDS,)),
        "core": (CORE, (1,)),
        "fates": (np.dtype("<i8"), (len(KINDS), len(FATES))),
        "link": (LINK, (1,)),
        "planes": (np.dtype("<f4"), plane_shape(n_channels)),
        "health": (HEALTH, (1,)),
        "notes": (NOTE, (NOTES,)),
        "packets.samples": (np.dtype("<i2"), (depth, info.packet_samples, n_channels)),
        "packets.spikes": (SPIKE, (depth, most_spikes)),
    }
    for name, (dtype, capacity) in rings.items():
        spec |= ring_spec(name, dtype, capacity)
    return spec


def push_block(packets: Packets, block: Block) -> bool:
    """Write one packet with the time of its arrival; return False, counted in the ring, where a reader is too slow."""
    i = reserve_slot(packets.ring.words, packets.ring.slots.size)
    if i < 0:
        return False
    n_spikes = len(block.spikes)
    if packets.samples.shape[2]:
        packets.samples[i, : block.n_samples] = block.samples
    packets.spikes[i, :n_spikes] = block.spikes
    packets.ring.slots[i] = (block.start_sample, block.n_samples, block.lost_samples, n_spikes, 0, 0)
    commit_packet(packets.ring, i)
    return True


@kernel
def commit_packet(ring: Ring, i: int) -> None:
    """Stamp a packet and show it to the engine."""
    ring.slots[i].arrival_ns = now_ns()
    commit(ring)


@kernel
def now_host_ns() -> int:
    """Return the host's monotonic clock, ns, as all processes and kernels see it."""
    return int(now_ns())


@kernel
def control_word(control: npt.NDArray[np.int64], word: int) -> int:
    """Return a control word, with all that was written before it."""
    return int(load_acquire(control, word))


@kernel
def set_control_word(control: npt.NDArray[np.int64], word: int, value: int) -> None:
    """Set a control word after all that was written before."""
    store_release(control, word, value)


@counted
def follow(handle: Any, packets: Packets, control: npt.NDArray[np.int64], period_ns: int, until_ns: int) -> None:
    """Advance over packets as they come, until told to stop or ``until_ns``; idle it takes a sixth of a core."""
    engine, rings = borrowed(handle.engine), borrowed(handle.rings)
    due = now_ns()
    while load_acquire(control, STOP) == 0:
        now = now_ns()
        store_release(control, BEAT, now)
        if waiting(packets.ring, ENGINE) == 0:
            if now > until_ns:
                return
            if now < due - SPIN_NS:
                sleep_until_ns(min(due - SPIN_NS, now + LONG_NAP_NS))
            elif now > due + SPIN_NS:
                sleep_until_ns(now + NAP_NS // 2)
            else:
                pause()
            continue
        i = front(packets.ring, ENGINE)
        p = packets.ring.slots[i]
        last = packets.ring.slots[(load_acquire(packets.ring.words, HEAD) - 1) % packets.ring.slots.size]
        engine.core[0].arrival_ns = p.arrival_ns
        advance(
            engine, rings, p.start_sample, p.n_samples, p.lost_samples, packets.samples[i, : p.n_samples],
            packets.spikes[i, : p.n_spikes], last.start_sample + last.n_samples,
        )  # fmt: skip
        if now_ns() - p.arrival_ns > period_ns:
            store_release(control, LATE_BLOCKS, control[LATE_BLOCKS] + 1)
        store_release(control, ARRIVAL, p.arrival_ns)
        store_release(control, POSITION, p.start_sample + p.n_samples)
        due = p.arrival_ns + period_ns
        release(packets.ring, ENGINE)


@kernel
def forward(shared: Forwarding, control: npt.NDArray[np.int64], lease_ns: int, until_ns: int) -> None:
    """Poll for pulses and forward those delivered, until ``until_ns``.

    Nothing is forwarded while the session is silenced or the engine has not been heard of for its lease.
    """
    pulses, triggers, deliveries = shared
    while load_acquire(control, STOP) == 0 and now_ns() < until_ns:
        if waiting(pulses, STIMULATOR) == 0:
            sleep_until_ns(now_ns() + NAP_NS)
            continue
        p, now = pulses.slots[front(pulses, STIMULATOR)], now_ns()
        if p.fate == DELIVERED:
            if load_acquire(control, SILENCE) != 0 or now - load_acquire(control, BEAT) > lease_ns:
                store_release(control, HELD_BACK, control[HELD_BACK] + 1)
            else:
                hand_over(triggers, p, now)
                hand_over(deliveries, p, now)
                store_release(control, FORWARDED, control[FORWARDED] + 1)
        release(pulses, STIMULATOR)


@inner
def hand_over(ring: Ring, p: Record, now: int) -> None:
    """Write one delivery."""
    i = reserve(ring)
    if i >= 0:
        d = ring.slots[i]
        d.sample_index, d.pattern, d.voice, d.serial, d.forwarded_ns = p.sample_index, p.pattern, p.voice, p.serial, now
        commit(ring)
