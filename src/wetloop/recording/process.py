"""The recorder of a real-time session, a process of its own: it polls the rings, so that nobody waits for a disk."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.arena import Arena
from wetloop.engine.crew import orphaned, report
from wetloop.engine.engine import RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import Shared, now_host_ns
from wetloop.kernels.rings import RECORDER, load_head
from wetloop.recording import schema
from wetloop.recording.log import DecisionRows
from wetloop.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Records, Samples, SpikeBatch, Tick
    from wetloop.engine.live import Packets
    from wetloop.kernels.rings import Ring
    from wetloop.recording.header import Header
    from wetloop.recording.health import RecorderWatch

POLL_S = 0.05
COPIED_BYTES = 1 << 20
"""Raw samples that are copied out of the ring at once: as much as stays in a cache."""
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
        self._ring, self._samples = packets.ring, packets.samples
        _, n_samples, n_channels = packets.samples.shape
        self._keep, self._full = keep_samples and n_channels > 0, n_samples
        at_once = max(1, COPIED_BYTES // max(1, 2 * n_samples * n_channels))
        self._copy = np.zeros((at_once if self._keep else 0, n_samples, n_channels), np.int16)
        self._cursor, self._next_sample, self.missed_samples = 0, -1, 0

    def take(self) -> Iterator[Samples]:
        """Yield the samples that came since the last call; what is yielded holds until the next is asked for."""
        end = load_head(self._ring.words) if self._keep else self._cursor
        while self._cursor < end:
            yield from self._gapless(*self._packets(end))

    def _packets(self, end: int) -> tuple[Records, Samples]:
        """Return copies of the next packets that lie side by side, without those that were overwritten meanwhile."""
        capacity = self._ring.slots.size
        first = max(self._cursor, load_head(self._ring.words) - capacity + MARGIN)
        at = first % capacity
        n = max(0, min(end - first, capacity - at, len(self._copy)))
        heads = self._ring.slots[at : at + n].copy()
        self._copy[:n] = self._samples[at : at + n]
        torn = min(n, max(0, load_head(self._ring.words) - capacity + 1 - first))
        self._cursor = max(first + n, self._cursor)
        return heads[torn:], self._copy[torn:n]

    def _gapless(self, heads: Records, copies: Samples) -> Iterator[Samples]:
        """Yield zeros for what was missed, then the rows; what the rig itself lost is no row of the recording."""
        if not len(heads):
            return
        stops = heads["start_sample"] + heads["n_samples"]
        before = np.concatenate([[self._next_sample], stops[:-1]])
        missed = np.where(before >= 0, heads["start_sample"] - heads["lost_samples"] - before, 0)
        self._next_sample = int(stops[-1])
        if (heads["n_samples"] == self._full).all() and not missed.any():
            yield copies.reshape(-1, copies.shape[2])
            return
        for rows, n, n_missed in zip(copies, heads["n_samples"].tolist(), missed.tolist(), strict=True):
            if n_missed > 0:
                self.missed_samples += n_missed
                yield np.zeros((n_missed, rows.shape[1]), rows.dtype)
            yield rows[:n]


class NewFile(NamedTuple):
    """What the recorder is to make; ``how`` are options of the writer."""

    path: Path
    header: Header
    how: dict[str, Any]


def run_recorder(link: Connection, name: str, new: NewFile) -> None:
    """Write until the session sends its last words, or is gone: then the file is completed all the same."""
    shared = Shared.of(Arena.attach(name))
    writer = Writer(new.path, new.header, **new.how)
    recorder = _Recorder(shared, writer, PacketReader(shared.packets, keep_samples=new.how["raw_samples"]))
    recorder.tell()
    report(link, "ready", obtain("recorder").to_dict())
    flushed_s = time.monotonic()
    while not orphaned():
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
        self._frames, self._clock = RingReader(shared.frames, RECORDER), RingReader(shared.clock, RECORDER)
        self._operator, self._alarms = RingReader(shared.operator, RECORDER), RingReader(shared.alarms, RECORDER)
        self._triggered, self._seen = RingReader(shared.triggered, RECORDER), RingReader(shared.seen, RECORDER)

    def take(self) -> None:
        """Move what waits in the rings to the writer: effects before causes, so that no decision lacks its spikes."""
        self._writer.append_to(schema.FRAMES, self._frames.take())
        self._writer.append_to(schema.RIG_CLOCK, self._clock.take())
        self._writer.append_to(schema.ALARMS, self._alarms.take())
        self._writer.append_to(schema.TRIGGERS, self._triggered.take())
        self._writer.append_to(schema.SEEN_PULSES, self._seen.take())
        decisions, blocks = self._decisions.take(), self._blocks.take()
        pulses, spikes, operator = self._pulses.take(), self._spikes.take(), self._operator.take()
        self._backlog = sum(map(len, (decisions, blocks, pulses, spikes, operator)))
        self._writer.append(
            spikes=spikes,
            pulses=pulses,
            blocks=blocks,
            decisions=decisions,
            operator_commands=operator,
        )
        for samples in self._packets.take():
            self._writer.append(samples=samples)

    def tell(self) -> None:
        """Let the session know how the recorder is doing."""
        writer = self._writer
        told = (now_host_ns(), self._backlog, writer.n_bytes, writer.acknowledged_sample, writer.raw_stopped_sample)
        self._health[0] = *told, *(round(mb * 1e6) if math.isfinite(mb) else 0 for mb in writer.space_mb)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.take()
        self._writer.finish({**summary, "raw_samples_missed": self._packets.missed_samples})


class RemoteLog(DecisionRows):
    """The session's side: decisions go into the ring, the last words to the recorder's process, which is watched."""

    def __init__(self, ring: Ring, event_names: Sequence[str], sampling_frequency: float, watch: RecorderWatch) -> None:
        super().__init__(ring, event_names, sampling_frequency)
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
