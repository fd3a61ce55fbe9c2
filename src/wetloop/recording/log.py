"""What a session tells its recording: decisions row by row, the engine's rings about once a second."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wetloop.kernels.records import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Records, SpikeBatch, Tick
    from wetloop.engine.rig import Rig
    from wetloop.recording.writer import Writer

ROWS = 8192
FLUSH_S = 0.5
FULL = 0.4
"""Share of a ring that makes a flush due before its time: an accelerated session fills it within a second."""


class DecisionLog(Protocol):
    """Told of every decision, in order."""

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take note of one decision."""


class DecisionRows:
    """Decisions as rows of the recording's dtype, handed over in batches.

    Parameters
    ----------
    dtype
        From ``schema.decision_dtype``.
    event_names
        Every event that the task can report; bit i of ``events`` stands for the i-th.
    """

    def __init__(self, dtype: np.dtype[np.void], event_names: Sequence[str]) -> None:
        self._rows, self._n = np.zeros(ROWS, dtype), 0
        self._bits = {name: 1 << i for i, name in enumerate(event_names)}

    def add(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> bool:
        """Append a row; return whether the rows are full and have to be taken."""
        spikes, events = batch.spikes, 0
        for name in outcome.events:
            events |= self._bits[name]
        self._rows[self._n] = (
            tick.decision_index, tick.start_sample, tick.stop_sample, serial, len(spikes), zlib.crc32(spikes.data),
            outcome.playing, outcome.terminated, outcome.truncated, events, outcome.reward, tick.lateness_us,
            action, outcome.observation,
        )  # fmt: skip
        self._n += 1
        return self._n == ROWS

    def take(self) -> Records:
        """Return the rows since the last call."""
        rows, self._n = self._rows[: self._n].copy(), 0
        return rows


class RecordingLog:
    """Writes decisions and everything that leaves the engine."""

    def __init__(self, writer: Writer, rows: DecisionRows, rig: Rig) -> None:
        self._writer, self._rows, self._rig = writer, rows, rig
        engine = rig.engine
        self._rings = engine.recorded_spikes, engine.recorded_pulses, engine.recorded_blocks
        self._flushed_s = time.monotonic()

    @property
    def path(self) -> Path:
        """File of the recording."""
        return self._writer.path

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take note of one decision, and write what is due."""
        full = self._rows.add(tick, batch, action, outcome, serial)
        if full or any(ring.fill > FULL for ring in self._rings) or time.monotonic() - self._flushed_s > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything that has happened to the writer."""
        engine, (spikes, pulses, blocks) = self._rig.engine, self._rings
        operator = np.array(engine.operator_commands, COMMAND)
        engine.operator_commands.clear()
        self._writer.append(
            spikes=spikes.take(),
            pulses=pulses.take(),
            blocks=blocks.take(),
            decisions=self._rows.take(),
            operator_commands=operator,
            samples=self._rig.samples(),
        )
        self._writer.flush()
        self._flushed_s = time.monotonic()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rest and complete the file."""
        self.flush()
        self._writer.finish(summary)
