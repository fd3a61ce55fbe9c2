"""Compares what a replay produces with what was recorded, row by row, and says in words where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.engine import RingReader
from wetloop.kernels.rings import RECORDER, new_ring
from wetloop.recording.log import FULL, ROWS, DecisionRows

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Records, SpikeBatch, Tick
    from wetloop.engine.engine import EnginePort
    from wetloop.recording.reader import Recording

MOST_DIFFERENCES = 10
HOST_FIELDS = ("lateness_us", "arrival_ns", "start_ns", "done_ns")
"""Host times: recorded, never compared."""


class Stream:
    """Rows of one kind, recorded and replayed; of a ``cut`` recording, nothing is said of what lies beyond its end."""

    def __init__(self, name: str, recorded: Records, sampling_frequency: float, time_field: str, *, cut: bool) -> None:
        self.name, self._recorded, self._rate, self._time = name, recorded, sampling_frequency, time_field
        self._cut = cut
        self._fields = [f for f in recorded.dtype.names or () if f not in HOST_FIELDS and f != "reserved"]
        self.n = self.n_different = 0
        self.sentences: list[str] = []

    def add(self, replayed: Records) -> None:
        """Compare the next rows with those recorded at the same place."""
        recorded = self._recorded[self.n : self.n + len(replayed)]
        if len(recorded) < len(replayed) and not self._cut:
            self._tell(f"{self.name}: the replay has more than the {len(self._recorded)} recorded")
        replayed = replayed[: len(recorded)]
        for k in self._different(recorded, replayed):
            self._tell(self._sentence(int(k), recorded[k], replayed[k]))
        self.n += len(replayed)

    def _different(self, a: Records, b: Records) -> npt.NDArray[np.intp]:
        apart = np.zeros(len(a), bool)
        for field in self._fields:
            unequal = a[field] != b[field]
            apart |= unequal if unequal.ndim == 1 else unequal.any(axis=1)
        return np.flatnonzero(apart)

    def _sentence(self, k: int, recorded: Any, replayed: Any) -> str:
        what = ", ".join(
            f"{f} recorded {recorded[f].tolist()}, replayed {replayed[f].tolist()}"
            for f in self._fields
            if np.any(recorded[f] != replayed[f])
        )
        return f"{self.name} {self.n + k} at {recorded[self._time] / self._rate:.4f} s: {what}"

    def _tell(self, sentence: str) -> None:
        self.n_different += 1
        if len(self.sentences) < MOST_DIFFERENCES:
            self.sentences.append(sentence)

    def finish(self) -> list[str]:
        """Return the first differences, and how many more there are."""
        missing = len(self._recorded) - self.n
        if missing > 0 and not self._cut:
            self._tell(f"{self.name}: {missing} of {len(self._recorded)} recorded were not replayed")
        more = self.n_different - len(self.sentences)
        return self.sentences + ([f"{self.name}: {more} more differences"] if more else [])


class Rows(NamedTuple):
    """What a recording holds, row by row; ``cut``: its end is missing, so its last rows may lack what they led to."""

    spikes: Records
    decisions: Records
    pulses: Records
    blocks: Records
    cut: bool

    @classmethod
    def of(cls, recording: Recording) -> Rows:
        """Read all rows; of a recording that was cut off, the blocks of which everything is known."""
        decisions, blocks, samples = recording.decisions(), recording.blocks(), recording.samples
        known = blocks
        if not recording.complete or recording.recovered:
            told = max(decisions["serial"].max(initial=0), recording.operator_commands()["serial"].max(initial=0))
            known = blocks[: int(np.searchsorted(blocks["serial"], told, side="right"))]
        if samples is not None:
            ends = np.cumsum(known["n_samples"], dtype=np.int64)
            known = known[: int(np.searchsorted(ends, len(samples), side="right"))]
        cut = len(known) < len(blocks) or bool(recording.recovered) or not recording.complete
        return cls(recording.spikes(), decisions, recording.pulses(), known, cut)


class Comparison:
    """The log of a replay: compares instead of writing."""

    def __init__(
        self, rows: Rows, recording: Recording, engine: EnginePort, on_progress: Callable[[float], None] | None
    ) -> None:
        rate = recording.info.sampling_frequency
        self._recorded, self._recording, self._engine, self._on_progress = rows, recording, engine, on_progress
        ring = new_ring(rows.decisions.dtype, ROWS, RECORDER)
        self._rows, self._replayed = DecisionRows(ring, recording.header["event_names"]), RingReader(ring, RECORDER)
        self._rings = self._replayed, engine.recorded_spikes, engine.recorded_pulses, engine.recorded_blocks
        cut = rows.cut
        self._decisions = Stream("decision", rows.decisions, rate, "stop_sample", cut=cut)
        self.pulses = Stream("pulse", rows.pulses, rate, "sample_index", cut=cut)
        self.spikes = Stream("spike", rows.spikes, rate, "sample_index", cut=cut)
        self._blocks = Stream("block", rows.blocks, rate, "start_sample", cut=cut)
        self.decisions = 0

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take note of one replayed decision."""
        self.decisions += 1
        self._rows.decision(tick, batch, action, outcome, serial)
        if any(ring.fill > FULL for ring in self._rings):
            self._compare()

    def _compare(self) -> None:
        self._decisions.add(self._replayed.take())
        self.pulses.add(self._engine.recorded_pulses.take())
        self.spikes.add(self._engine.recorded_spikes.take())
        self._blocks.add(self._engine.recorded_blocks.take())
        if self._on_progress is not None:
            self._on_progress(self.decisions / max(1, len(self._recorded.decisions)))

    def finish(self) -> list[str]:
        """Return every difference found, as sentences; none if the replay agrees."""
        self._compare()
        streams = (self.spikes, self._decisions, self.pulses, self._blocks)
        altered = self._altered_spikes() if self._recording.complete else []
        return [*altered, *(s for stream in streams for s in stream.finish())]

    def _altered_spikes(self) -> list[str]:
        """Name the spikes on which the file's two tables disagree: one of the two was altered."""
        told, rate = [], self._recording.info.sampling_frequency
        spikes = self._recorded.spikes
        for channel, units in enumerate(self._recording.unit_spikes()):
            table = spikes["sample_index"][spikes["channel_index"] == channel]
            for name, more, less in (("detected_spikes", table, units), ("units", units, table)):
                told += [
                    f"spike on channel {channel} at {sample / rate:.5f} s (sample {sample}) stands in {name} only"
                    for sample in np.setdiff1d(more, less).tolist()
                ]
        more = len(told) - MOST_DIFFERENCES
        return told[:MOST_DIFFERENCES] + ([f"{more} more spikes stand in one table only"] if more > 0 else [])
