"""What runs in each process of a real-time session: the source, the engine and the stimulator."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wetloop.core.clock import WallPace
from wetloop.core.protocols import Stimulator, Witness
from wetloop.core.rig_clock import RigClock
from wetloop.engine.arena import Arena
from wetloop.engine.build import new_engine
from wetloop.engine.continuity import Continuity
from wetloop.engine.crew import orphaned, report
from wetloop.engine.delivery import Courier, Delivery, hand_to_rig
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
)
from wetloop.engine.waits import wait_start, wait_trigger
from wetloop.engine.words import (
    ENDED,
    ORIGIN,
    SILENCE,
    SILENCED,
    STOP,
)
from wetloop.kernels.rings import ENGINE, new_ring, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from wetloop.core.guard import PatternTable
    from wetloop.core.protocols import Source
    from wetloop.core.types import Block, RigInfo
    from wetloop.engine.build import EngineParts

LOOK_NS = 100_000_000
"""How often a process looks whether its session still lives, ns."""


class MakesSource(Protocol):
    """A source's configuration: crosses to the source's process, where the source is made."""

    def build(self, seed: int) -> Source:
        """Return the source, unopened."""


class MakesStimulator(Protocol):
    """A stimulator's configuration: crosses to the stimulator's process, where the stimulator is made."""

    def build(self, info: RigInfo) -> Stimulator:
        """Return the stimulator, not yet connected."""


def run_engine(link: Connection, name: str, parts: EngineParts) -> None:
    """Follow the packets until the session says stop, or is gone."""
    shared = Shared.of(Arena.attach(name))
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
    while not control_word(shared.control, STOP) and not orphaned():
        follow(handle, shared.packets, shared.control, period_ns, now_host_ns() + LOOK_NS)


def run_source(link: Connection, name: str, config: MakesSource, seed: int, table: PatternTable | None) -> None:
    """Read the rig at its own pace, or at the host's where it keeps none, and write packets.

    ``table`` is None where another device stimulates.
    """
    shared = Shared.of(Arena.attach(name))
    source = config.build(seed)
    try:
        source.open()
        stimulator = source if table is not None and isinstance(source, Stimulator) else None
        if stimulator is not None and table is not None:
            stimulator.prepare(table)
        warm_up(shared)
        report(link, "ready", obtain("source").to_dict())
        while not wait_start(shared.control, now_host_ns() + LOOK_NS):
            if orphaned():
                return
        if source.info.real_time:
            with ExitStack() as stack:
                delivery = None if stimulator is None else Delivery(shared, stimulator, source.info)
                courier = None if delivery is None else stack.enter_context(Courier(delivery))
                _relay_packets(shared, source, courier)
        else:
            _simulate_packets(shared, source, stimulator)
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


def _relay_packets(shared: Shared, source: Source, courier: Courier | None) -> None:
    """Deliver the packets of a rig that keeps its own time, until the end, and what it tells of pulses."""
    packets, witness = _Packets(shared, source.info), source if isinstance(source, Witness) else None
    while not control_word(shared.control, STOP) and not orphaned():
        if courier is not None:
            courier.check()
        try:
            block = source.read()
        except EOFError:
            set_control_word(shared.control, ENDED, 1)
            return
        if block.n_samples:
            packets.deliver(block)
        if witness is not None:
            for row in witness.take_seen():
                put(shared.seen, row.item())


def _simulate_packets(shared: Shared, source: Source, stimulator: Stimulator | None) -> None:
    """Deliver packets at the host's pace, until the end.

    A packet of a simulated rig is simulated when its time begins, so that a trigger that comes too late is too late as
    on a real one, and delivered when its last sample is due and the rig's latency is over.
    """
    info, triggers, packets = source.info, RingReader(shared.triggers, ENGINE), _Packets(shared, source.info)
    pace = WallPace(info.sampling_frequency * (1 + info.clock_drift_ppm * 1e-6))
    latency_samples = info.samples(info.latency_ms)
    held: deque[Block] = deque()
    at = 0
    while not control_word(shared.control, STOP) and not orphaned():
        pace.wait(at)
        while held and held[0].start_sample + held[0].n_samples + latency_samples <= at:
            packets.deliver(held.popleft())
        if stimulator is not None:
            if control_word(shared.control, SILENCE):
                _fall_silent(shared, stimulator)
            else:
                _trigger(shared, stimulator, triggers)
        try:
            held.append(source.read())
        except EOFError:
            set_control_word(shared.control, ENDED, 1)
            return
        at = held[-1].start_sample + held[-1].n_samples


class _Packets:
    """The way of blocks to the engine: no sample twice, the first one told, and the rig's clock followed."""

    def __init__(self, shared: Shared, info: RigInfo) -> None:
        self._shared, self._continuity = shared, Continuity()
        self._clock = RigClock(info.sampling_frequency, info.latency_ms)

    def deliver(self, arrived: Block) -> None:
        """Write a packet."""
        block, arrival_ns = self._continuity.check(arrived), now_host_ns()
        if block is None:
            return
        if control_word(self._shared.control, ORIGIN) < 0:
            set_control_word(self._shared.control, ORIGIN, block.start_sample)
        estimate = self._clock.observe(block.start_sample + block.n_samples, arrival_ns)
        if estimate is not None:
            put(self._shared.clock, estimate)
        push_block(self._shared.packets, block)


def _fall_silent(shared: Shared, stimulator: Stimulator) -> None:
    """Have the rig forget its planned pulses, again with every packet; triggers on their way stay where they are."""
    stimulator.silence()
    if not control_word(shared.control, SILENCED):
        set_control_word(shared.control, SILENCED, now_host_ns())


def _trigger(shared: Shared, stimulator: Stimulator, triggers: RingReader) -> None:
    for trigger in triggers.take():
        hand_to_rig(shared, stimulator, trigger)


class Device(NamedTuple):
    """A stimulator of its own: how it is made, the rig that it is a part of, and what it is to load."""

    config: MakesStimulator
    info: RigInfo
    table: PatternTable


def run_stimulator(link: Connection, name: str, lease_ms: float, device: Device | None) -> None:
    """Forward delivered pulses while the engine's heart beats, to the source's process or to a device here."""
    shared = Shared.of(Arena.attach(name))
    paths, lease_ns = Forwarding(shared.rings.pulses, shared.triggers), round(lease_ms * 1e6)
    forward(paths, shared.control, lease_ns, 0)
    with ExitStack() as stack:
        courier = stack.enter_context(_couriered(shared, device)) if device is not None else None
        report(link, "ready", obtain("stimulator").to_dict())
        while not control_word(shared.control, STOP) and not orphaned():
            forward(paths, shared.control, lease_ns, now_host_ns() + LOOK_NS)
            if courier is not None:
                courier.check()


@contextmanager
def _couriered(shared: Shared, device: Device) -> Iterator[Courier]:
    """Give a device's courier; at the end the device is silent and closed."""
    stimulator = device.config.build(device.info)
    try:
        stimulator.prepare(device.table)
        warm_up(shared)
        wait_trigger(shared.triggers, shared.control, 0)
        with Courier(Delivery(shared, stimulator, device.info)) as courier:
            yield courier
    finally:
        stimulator.close()
