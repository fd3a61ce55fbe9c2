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
from wetloop.kernels.rings import RECORDER, load_head
from wetloop.recording.log import DecisionRows
from wetloop.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from wetloop.core.types import Samples
    from wetloop.engine.crew import Crew
    from wetloop.engine.live import Packets
    from wetloop.kernels.rings import Ring
    from wetloop.recording.header import Header

POLL_S = 0.05
MARGIN = 64
"""Packets between the recorder and the producer, when the recorder has been lapped."""
FLUSH_S = 1.0
FINISH_S = 300.0


class PacketReader:
    """The recorder's view of the packets, for raw samples: it may be lapped, but it never holds up the engine.

    Attributes
    ----------
    missed_samples
        Samples that were overwritten before they were read; zeros stand in their place.
    """

    def __init__(self, packets: Packets, *, keep_samples: bool) -> None:
        self._packets, self._keep = packets, keep_samples and packets.samples.shape[2] > 0
        self._cursor, self._next_sample, self.missed_samples = 0, -1, 0

    def take(self) -> Samples | None:
        """Return the samples that came since the last call."""
        if not self._keep:
            return None
        ring, samples = self._packets.ring, self._packets.samples
        head, capacity = load_head(ring.words), ring.slots.size
        first = max(self._cursor, head - capacity + MARGIN)
        slots = [k % capacity for k in range(first, head)]
        heads = ring.slots[slots]
        rows = [samples[slot, :n].copy() for slot, n in zip(slots, heads["n_samples"].tolist(), strict=True)]
        torn = max(0, load_head(ring.words) - capacity + 1 - first)
        self._cursor = head
        filled = [part for k in range(torn, len(rows)) for part in self._gapless(heads[k], rows[k])]
        return np.concatenate(filled) if filled else None

    def _gapless(self, packet: Any, rows: Samples) -> Iterator[Samples]:
        """Yield zeros for what was missed, then the rows; what the rig itself lost is no row of the recording."""
        missed = int(packet["start_sample"] - packet["lost_samples"]) - self._next_sample
        if self._next_sample >= 0 and missed > 0:
            self.missed_samples += missed
            yield np.zeros((missed, rows.shape[1]), rows.dtype)
        self._next_sample = int(packet["start_sample"] + packet["n_samples"])
        yield rows


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
        self._frames = RingReader(shared.frames, RECORDER)
        self._deliveries, self._operator = (
            RingReader(shared.deliveries, RECORDER),
            RingReader(shared.operator, RECORDER),
        )

    def take(self) -> None:
        """Move what waits in the rings to the writer."""
        self._deliveries.take()
        self._writer.append_frames(self._frames.take())
        self._writer.append(
            spikes=self._spikes.take(),
            pulses=self._pulses.take(),
            blocks=self._blocks.take(),
            decisions=self._decisions.take(),
            operator_commands=self._operator.take(),
            samples=self._packets.take(),
        )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.take()
        self._writer.finish({**summary, "raw_samples_missed": self._packets.missed_samples})


class RemoteLog(DecisionRows):
    """The session's side: decisions go into the ring, the last words to the recorder's process."""

    def __init__(self, ring: Ring, event_names: Sequence[str], crew: Crew, path: Path) -> None:
        super().__init__(ring, event_names)
        self._crew, self.path = crew, path

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Have the file completed, and wait for it."""
        self._crew.send("recorder", dict(summary))
        self._crew.receive("recorder", FINISH_S)
