"""The recorder of a real-time session, a process of its own: it polls the rings, so that nobody waits for a disk."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from wetloop.engine.arena import Arena
from wetloop.engine.crew import orphaned, report
from wetloop.engine.engine import RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import Shared
from wetloop.kernels.records import STATE
from wetloop.kernels.rings import RECORDER
from wetloop.recording.log import DecisionRows
from wetloop.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from wetloop.core.types import Samples
    from wetloop.engine.crew import Crew
    from wetloop.engine.live import Packets
    from wetloop.kernels.rings import Ring
    from wetloop.recording.header import Header

POLL_S = 0.05
FLUSH_S = 1.0
FINISH_S = 300.0


class PacketReader:
    """The recorder's end of the packets: raw samples, or nothing but room."""

    def __init__(self, packets: Packets, *, keep_samples: bool) -> None:
        self._packets, self._keep = packets, keep_samples and packets.samples.shape[2] > 0
        self._reader, self._next = RingReader(packets.ring, RECORDER), 0

    def take(self) -> Samples | None:
        """Return the samples that came since the last call; the slots are given back after the copy."""
        if not self._keep:
            self._reader.take()
            return None
        waiting = self._reader.peek()
        capacity = self._packets.ring.slots.size
        rows = [self._packets.samples[(self._next + k) % capacity, :n] for k, n in enumerate(waiting["n_samples"])]
        samples = np.concatenate(rows) if rows else None
        self._next += len(waiting)
        self._reader.release(len(waiting))
        return samples


class NewFile(NamedTuple):
    """What the recorder is to make."""

    path: Path
    header: Header
    raw_samples: bool
    compression: Literal["none", "gzip"]


def run_recorder(link: Connection, name: str, new: NewFile) -> None:
    """Write until the session sends its last words, or is gone: then the file is completed all the same."""
    shared, parent = Shared.of(Arena.attach(name)), os.getppid()
    writer = Writer(new.path, new.header, raw_samples=new.raw_samples, compression=new.compression)
    recorder = _Recorder(shared, writer, PacketReader(shared.packets, keep_samples=new.raw_samples))
    report(link, "ready", obtain("recorder").to_dict())
    flushed_s = time.monotonic()
    while not orphaned(parent):
        try:
            if link.poll(POLL_S):
                recorder.finish(link.recv())
                report(link, "done", str(new.path))
                return
        except EOFError:
            break
        recorder.take()
        if time.monotonic() - flushed_s > FLUSH_S:
            flushed_s = time.monotonic()
            writer.flush()
    recorder.finish({"ended": "session died"})


class _Recorder:
    def __init__(self, shared: Shared, writer: Writer, packets: PacketReader) -> None:
        rings = shared.rings
        self._writer, self._packets = writer, packets
        self._spikes, self._pulses = RingReader(rings.spikes, RECORDER), RingReader(rings.pulses, RECORDER)
        self._blocks, self._decisions = RingReader(rings.blocks, RECORDER), RingReader(shared.decisions, RECORDER)
        self._deliveries, self._commands = RingReader(shared.deliveries, RECORDER), RingReader(rings.commands, RECORDER)

    def take(self) -> None:
        """Move what waits in the rings to the writer; of the commands, those that are no decision."""
        self._deliveries.take()
        commands = self._commands.take()
        self._writer.append(
            spikes=self._spikes.take(),
            pulses=self._pulses.take(),
            blocks=self._blocks.take(),
            decisions=self._decisions.take(),
            operator_commands=commands[commands["action"] == STATE],
            samples=self._packets.take(),
        )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.take()
        self._writer.finish(summary)


class RemoteLog(DecisionRows):
    """The session's side: decisions go into the ring, the last words to the recorder's process."""

    def __init__(self, ring: Ring, event_names: Sequence[str], crew: Crew, path: Path) -> None:
        super().__init__(ring, event_names)
        self._crew, self.path = crew, path

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Have the file completed, and wait for it."""
        self._crew.send("recorder", dict(summary))
        self._crew.receive("recorder", FINISH_S)
