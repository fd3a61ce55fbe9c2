"""What a session tells its recording: decisions row by row, the engine's rings about once a second."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wetloop.engine.engine import RingReader
from wetloop.kernels.records import SPIKE
from wetloop.kernels.rings import DROPPED, RECORDER, put
from wetloop.recording import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Records, SpikeBatch, Tick
    from wetloop.engine.rig import Rig
    from wetloop.kernels.rings import Ring
    from wetloop.recording.writer import Writer

ROWS = 1 << 14
DECODED_BYTES = sum(SPIKE[name].itemsize for name in SPIKE.names or () if name != "excluded")
FLUSH_S = 0.5
FULL = 0.4
"""Share of a ring that makes a flush due before its time: an accelerated session fills it within a second."""


class DecisionLog(Protocol):
    """Told of every decision, in order."""

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take note of one decision."""


class Log(DecisionLog, Protocol):
    """A log that makes a file."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def dropped(self) -> dict[str, int]:
        """Records of its own that there was no room for, by kind."""

    @property
    def shortfall(self) -> str:
        """What the recording will lack, and why; empty where it lacks nothing."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""


def raw_shortfall(stopped_s: float) -> str:
    """Say that raw samples ended early, s."""
    return f"raw samples end at {stopped_s:.1f} s of the rig's clock, for the disk is nearly full; the rest is whole"


class DecisionRows:
    """Decisions as records in a ring, for whoever records or compares them.

    Parameters
    ----------
    ring
        Of ``schema.decision_dtype``.
    event_names
        Every event that the task can report; bit i of ``events`` stands for the i-th.
    sampling_frequency
        Of the rig's clock, Hz.
    """

    def __init__(self, ring: Ring, event_names: Sequence[str], sampling_frequency: float) -> None:
        self.ring, self._sampling_frequency = ring, sampling_frequency
        self._bits = {name: 1 << i for i, name in enumerate(event_names)}

    @property
    def dropped(self) -> dict[str, int]:
        """Decisions that the ring had no room for."""
        return {"decisions": int(self.ring.words[DROPPED])}

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Write one decision; a full ring counts it as dropped."""
        spikes, events = batch.spikes, 0
        for name in outcome.events:
            events |= self._bits[name]
        put(self.ring, (
            tick.decision_index, tick.start_sample, tick.stop_sample, serial, len(spikes), spikes_crc(spikes),
            outcome.playing, outcome.terminated, outcome.truncated, outcome.answer, events, outcome.reward,
            tick.lateness_us, self._spike_age_us(tick, spikes), action, outcome.observation,
        ))  # fmt: skip

    def _spike_age_us(self, tick: Tick, spikes: Records) -> float:
        """Return how old the newest spike was when the decision was made, us; -1 without one."""
        if not len(spikes):
            return -1.0
        behind = tick.stop_sample - int(spikes["sample_index"].max())
        return tick.lateness_us + behind / self._sampling_frequency * 1e6


def spikes_crc(spikes: Records) -> int:
    """Return the CRC-32 of what a decoder reads of SPIKE records: all but ``excluded``, which comes last."""
    rows = spikes.view(np.uint8).reshape(len(spikes), SPIKE.itemsize)
    return zlib.crc32(np.ascontiguousarray(rows[:, :DECODED_BYTES]).data)


class RecordingLog:
    """Writes decisions and everything that leaves the engine."""

    def __init__(self, writer: Writer, rows: DecisionRows, frames: Ring, rig: Rig, alarms: Ring) -> None:
        self._rows, self._writer, self._rig = rows, writer, rig
        engine = rig.engine
        self._rings = (
            engine.recorded_spikes, engine.recorded_pulses, engine.recorded_blocks, RingReader(rows.ring, RECORDER),
            RingReader(frames, RECORDER), RingReader(alarms, RECORDER),
        )  # fmt: skip
        self._flushed_s = time.monotonic()

    @property
    def path(self) -> Path:
        """File of the recording."""
        return self._writer.path

    @property
    def dropped(self) -> dict[str, int]:
        """Decisions that the ring had no room for."""
        return self._rows.dropped

    @property
    def shortfall(self) -> str:
        """What the recording will lack, and why."""
        return "" if self._writer.raw_stopped_s is None else raw_shortfall(self._writer.raw_stopped_s)

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take note of one decision, and write what is due."""
        self._rows.decision(tick, batch, action, outcome, serial)
        if any(ring.fill > FULL for ring in self._rings) or time.monotonic() - self._flushed_s > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything that has happened to the writer."""
        engine, (spikes, pulses, blocks, decisions, frames, alarms) = self._rig.engine, self._rings
        self._writer.append_to(schema.FRAMES, frames.take())
        self._writer.append_to(schema.ALARMS, alarms.take())
        self._writer.append(
            spikes=spikes.take(),
            pulses=pulses.take(),
            blocks=blocks.take(),
            decisions=decisions.take(),
            operator_commands=engine.recorded_operator.take(),
            samples=self._rig.samples(),
        )
        self._writer.flush()
        self._flushed_s = time.monotonic()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.flush()
        self._writer.finish(summary)
