"""The recorder of a real-time session, a process of its own: it polls the rings, so that nobody waits for a disk."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.arena import Arena
from wetloop.engine.crew import orphaned, report
from wetloop.engine.engine import RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import Shared, now_host_ns
from wetloop.kernels.rings import RECORDER, load_head
from wetloop.recording.log import DecisionRows
from wetloop.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Samples, SpikeBatch, Tick
    from wetloop.engine.live import Packets
    from wetloop.kernels.rings import Ring
    from wetloop.recording.header import Header
    from wetloop.recording.health import RecorderWatch

POLL_S = 0.05
MARGIN = 64
"""Packets between the recorder and the producer, when the recorder has been lapped."""
FLUSH_S = 0.9


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
    """What the recorder is to make; ``how`` are options of the writer."""

    path: Path
    header: Header
    how: dict[str, Any]


def run_recorder(link: Connection, name: str, new: NewFile) -> None:
    """Write until the session sends its last words, or is gone: then the file is completed all the same."""
    shared, parent = Shared.of(Arena.attach(name)), os.getppid()
    writer = Writer(new.path, new.header, **new.how)
    recorder = _Recorder(shared, writer, PacketReader(shared.packets, keep_samples=new.how["raw_samples"]))
    recorder.tell()
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
        recorder.tell()
    recorder.finish({"ended": "session died"})


class _Recorder:
    def __init__(self, shared: Shared, writer: Writer, packets: PacketReader) -> None:
        rings = shared.rings
        self._writer, self._packets, self._health = writer, packets, shared.health
        self._backlog = 0
        self._spikes, self._pulses = RingReader(rings.spikes, RECORDER), RingReader(rings.pulses, RECORDER)
        self._blocks, self._decisions = RingReader(rings.blocks, RECORDER), RingReader(shared.decisions, RECORDER)
        self._deliveries, self._operator = (
            RingReader(shared.deliveries, RECORDER),
            RingReader(shared.operator, RECORDER),
        )

    def take(self) -> None:
        """Move what waits in the rings to the writer: effects before causes, so that no decision lacks its spikes."""
        self._deliveries.take()
        decisions, blocks = self._decisions.take(), self._blocks.take()
        pulses, spikes, operator = self._pulses.take(), self._spikes.take(), self._operator.take()
        self._backlog = sum(map(len, (decisions, blocks, pulses, spikes, operator)))
        self._writer.append(
            spikes=spikes,
            pulses=pulses,
            blocks=blocks,
            decisions=decisions,
            operator_commands=operator,
            samples=self._packets.take(),
        )

    def tell(self) -> None:
        """Let the session know how the recorder is doing."""
        writer = self._writer
        row = (now_host_ns(), self._backlog, writer.n_bytes, writer.acknowledged_sample, writer.raw_stopped_sample)
        self._health[0] = row

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.take()
        self._writer.finish({**summary, "raw_samples_missed": self._packets.missed_samples})


class RemoteLog(DecisionRows):
    """The session's side: decisions go into the ring, the last words to the recorder's process, which is watched."""

    def __init__(self, ring: Ring, event_names: Sequence[str], watch: RecorderWatch) -> None:
        super().__init__(ring, event_names)
        self._watch, self.path = watch, watch.path

    @property
    def shortfall(self) -> str:
        """What the recording will lack, and why."""
        return self._watch.shortfall

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Write one decision, and see now and then how the recorder is doing."""
        super().decision(tick, batch, action, outcome, serial)
        self._watch.look()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Have the file completed, and wait for it."""
        self._watch.finish(dict(summary))
