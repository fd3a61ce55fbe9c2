"""What runs in each process of a real-time session: the source, the engine and the stimulator."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from wetloop.core.clock import Unpaced, WallPace
from wetloop.core.errors import RigError
from wetloop.core.protocols import Stimulator
from wetloop.engine.arena import Arena
from wetloop.engine.build import new_engine
from wetloop.engine.continuity import Continuity
from wetloop.engine.crew import orphaned, report
from wetloop.engine.engine import Engine, RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import (
    DELIVERY,
    PACKET,
    Forwarding,
    Shared,
    commit_packet,
    control_word,
    follow,
    forward,
    now_host_ns,
    push_block,
    set_control_word,
    wait_start,
)
from wetloop.engine.words import (
    ACCEPTED,
    ENDED,
    LATE_AT_RIG,
    ORIGIN,
    SILENCE,
    SILENCED,
    STOP,
)
from wetloop.kernels.rings import ENGINE, new_ring, put

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from wetloop.core.guard import PatternTable
    from wetloop.core.protocols import Source
    from wetloop.core.types import Block
    from wetloop.engine.build import EngineParts

LOOK_NS = 100_000_000
"""How often a process looks whether its session still lives, ns."""


class MakesSource(Protocol):
    """A source's configuration: crosses to the source's process, where the source is made."""

    def build(self, seed: int) -> Source:
        """Return the source, unopened."""


def run_engine(link: Connection, name: str, parts: EngineParts) -> None:
    """Follow the packets until the session says stop, or is gone."""
    shared, parent = Shared.of(Arena.attach(name)), os.getppid()
    built = new_engine(parts)
    shared.records.core[:] = built.core
    shared.records.planes[:] = built.detector.planes
    reflex = built.reflex._replace(link=shared.records.link)
    detector = built.detector._replace(planes=shared.records.planes)
    state = built._replace(core=shared.records.core, fates=shared.records.fates, reflex=reflex, detector=detector)
    engine = parts.connected(Engine(state, shared.rings))
    handle = engine.handle(0)
    period_ns = round(parts.info.packet_samples / parts.info.sampling_frequency * 1e9)
    follow(handle, shared.packets, shared.control, period_ns, 0)
    report(link, "ready", obtain("engine").to_dict())
    while not control_word(shared.control, STOP) and not orphaned(parent):
        follow(handle, shared.packets, shared.control, period_ns, now_host_ns() + LOOK_NS)


def run_source(link: Connection, name: str, config: MakesSource, seed: int, table: PatternTable) -> None:
    """Read the rig at its own pace, or at the host's where it keeps none, and write packets."""
    shared, parent = Shared.of(Arena.attach(name)), os.getppid()
    source = config.build(seed)
    try:
        source.open()
        if isinstance(source, Stimulator):
            source.prepare(table)
        warm_up(shared)
        report(link, "ready", obtain("source").to_dict())
        while not wait_start(shared.control, now_host_ns() + LOOK_NS):
            if orphaned(parent):
                return
        _deliver_packets(shared, source, parent)
    finally:
        source.close()


def warm_up(shared: Shared) -> None:
    """Load the kernels that Python calls, so that the first packet is as quick as the others."""
    scratch = new_ring(DELIVERY, 2, ENGINE)
    put(scratch, (0, 0, 0, 0, now_host_ns()))
    RingReader(scratch, ENGINE).take()
    set_control_word(shared.control, ENDED, control_word(shared.control, ENDED))
    packets = new_ring(PACKET, 2, ENGINE)
    commit_packet(packets, 0)


def _deliver_packets(shared: Shared, source: Source, parent: int) -> None:
    """Deliver packets until the end.

    A packet of a simulated rig is simulated when its time begins, so that a trigger that comes too late is too late as
    on a real one, and delivered when its last sample is due and the rig's latency is over.
    """
    info, triggers = source.info, RingReader(shared.triggers, ENGINE)
    pace = Unpaced() if info.real_time else WallPace(info.sampling_frequency * (1 + info.clock_drift_ppm * 1e-6))
    latency_samples = 0 if info.real_time else info.samples(info.latency_ms)
    held: deque[Block] = deque()
    continuity, at = Continuity(), 0
    while not control_word(shared.control, STOP) and not orphaned(parent):
        pace.wait(at)
        while held and (info.real_time or held[0].start_sample + held[0].n_samples + latency_samples <= at):
            block = continuity.check(held.popleft())
            if block is not None:
                push_block(shared.packets, block)
        if control_word(shared.control, SILENCE):
            _fall_silent(shared, source)
        elif isinstance(source, Stimulator):
            _trigger(shared, source, triggers)
        try:
            held.append(source.read())
        except EOFError:
            set_control_word(shared.control, ENDED, 1)
            return
        if control_word(shared.control, ORIGIN) < 0:
            set_control_word(shared.control, ORIGIN, held[0].start_sample)
        at = held[-1].start_sample + held[-1].n_samples


def _fall_silent(shared: Shared, source: Source) -> None:
    """Have the rig forget its planned pulses, again with every packet; triggers on their way stay where they are."""
    if isinstance(source, Stimulator):
        source.silence()
    if not control_word(shared.control, SILENCED):
        set_control_word(shared.control, SILENCED, now_host_ns())


def _trigger(shared: Shared, source: Stimulator, triggers: RingReader) -> None:
    for trigger in triggers.take():
        try:
            source.trigger(int(trigger["pattern"]), int(trigger["sample_index"]))
            shared.control[ACCEPTED] += 1
        except RigError:
            shared.control[LATE_AT_RIG] += 1


def run_stimulator(link: Connection, name: str, lease_ms: float) -> None:
    """Forward delivered pulses while the engine's heart beats."""
    shared, parent = Shared.of(Arena.attach(name)), os.getppid()
    paths, lease_ns = Forwarding(shared.rings.pulses, shared.triggers, shared.deliveries), round(lease_ms * 1e6)
    forward(paths, shared.control, lease_ns, 0)
    report(link, "ready", obtain("stimulator").to_dict())
    while not control_word(shared.control, STOP) and not orphaned(parent):
        forward(paths, shared.control, lease_ns, now_host_ns() + LOOK_NS)
