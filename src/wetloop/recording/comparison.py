"""Compares what a replay produces with what was recorded, row by row, and says in words where they part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.core.errors import ConfigError
from wetloop.engine.engine import RingReader
from wetloop.kernels.rings import RECORDER, new_ring
from wetloop.recording import schema
from wetloop.recording.log import FULL, ROWS, DecisionRows

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from wetloop.core.types import Outcome, Records, SpikeBatch, Tick
    from wetloop.engine.engine import EnginePort
    from wetloop.recording.reader import Recording

MOST_DIFFERENCES = 10
FAR = 1 << 62
HOST_FIELDS = ("lateness_us", "spike_age_us", "arrival_ns", "start_ns", "done_ns")
"""Host times: recorded, never compared."""


class Stream:
    """Rows of one kind, recorded and replayed; differences before the part ``compared`` are only counted.

    Of a ``cut`` recording, nothing is said of what lies beyond its end.
    """

    def __init__(
        self, name: str, recorded: Records, compared: range, sampling_frequency: float, time_field: str, *, cut: bool
    ) -> None:
        self.name, self._first, self._rate, self._time = name, compared.start, sampling_frequency, time_field
        self._recorded, self._cut = recorded[: compared.stop], cut
        self._fields = [f for f in recorded.dtype.names or () if f not in HOST_FIELDS and f != "reserved"]
        self.n = self.n_different = self.n_before = 0
        self.sentences: list[str] = []

    @property
    def n_compared(self) -> int:
        """Rows of the part that were replayed."""
        return max(0, self.n - self._first)

    def add(self, replayed: Records) -> None:
        """Compare the next rows with those recorded at the same place."""
        recorded = self._recorded[self.n : self.n + len(replayed)]
        if len(recorded) < len(replayed) and not self._cut:
            self._tell(len(self._recorded), f"{self.name}: the replay has more than the {len(self._recorded)} recorded")
        replayed = replayed[: len(recorded)]
        for k in self._different(recorded, replayed):
            self._tell(self.n + int(k), self._sentence(int(k), recorded[k], replayed[k]))
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

    def _tell(self, row: int, sentence: str) -> None:
        if row < self._first:
            self.n_before += 1
            return
        self.n_different += 1
        if len(self.sentences) < MOST_DIFFERENCES:
            self.sentences.append(sentence)

    def finish(self) -> list[str]:
        """Return the first differences, and how many more there are."""
        missing = len(self._recorded) - self.n
        if missing > 0 and not self._cut:
            self._tell(
                len(self._recorded), f"{self.name}: {missing} of {len(self._recorded)} recorded were not replayed"
            )
        more = self.n_different - len(self.sentences)
        return self.sentences + ([f"{self.name}: {more} more differences"] if more else [])


class Rows(NamedTuple):
    """What a recording holds, row by row.

    ``cut``: its end is missing, so its last rows may lack what they led to. Of the first ``n_sampled`` blocks there are
    raw samples: later ones were lost, or stopped before the disk was full.
    """

    spikes: Records
    decisions: Records
    pulses: Records
    blocks: Records
    cut: bool
    n_sampled: int

    @classmethod
    def of(cls, recording: Recording) -> Rows:
        """Read all rows; of a recording that was cut off, the blocks of which everything is known."""
        decisions, blocks = recording.decisions(), recording.blocks()
        known = blocks
        if not recording.complete or recording.recovered:
            told = max(decisions["serial"].max(initial=0), recording.operator_commands()["serial"].max(initial=0))
            known = blocks[: int(np.searchsorted(blocks["serial"], told, side="right"))]
        cut = len(known) < len(blocks) or bool(recording.recovered) or not recording.complete
        return cls(recording.spikes(), decisions, recording.pulses(), known, cut, _n_sampled(recording, known))

    @property
    def sampled_to(self) -> int:
        """Up to which sample there are raw samples; that of the first block where there are none."""
        ends = self.blocks["start_sample"] + self.blocks["n_samples"]
        first = int(self.blocks["start_sample"][0]) if len(self.blocks) else 0
        return int(ends[self.n_sampled - 1]) if self.n_sampled else first


def _n_sampled(recording: Recording, blocks: Records) -> int:
    """Return of how many blocks from the first on all raw samples are there."""
    samples = recording.samples
    if samples is None:
        return 0
    ends = np.cumsum(blocks["n_samples"], dtype=np.int64)
    stored = int(np.searchsorted(ends, len(samples), side="right"))
    lost = [loss["from_sample"] for loss in recording.recovered.get("lost", ()) if loss["what"] == schema.LOST_SAMPLES]
    whole = np.searchsorted(blocks["start_sample"] + blocks["n_samples"], min(lost, default=FAR), side="right")
    return min(stored, int(whole))


class Part(NamedTuple):
    """From when to when, s on the rig's clock; None: as far as the recording goes."""

    start_s: float | None = None
    stop_s: float | None = None


class Section(NamedTuple):
    """A part as ranges of rows, and as samples [start, stop).

    Blocks tell which rows belong to it: a row is written with the block in which it was decided or became known, which
    may lie after the sample that it is about.
    """

    start_sample: int
    stop_sample: int
    decisions: range
    blocks: range
    spikes: range
    pulses: range


def section_of(rows: Rows, part: Part, sampling_frequency: float) -> Section:
    """Return the section with all decisions whose windows lie within the part.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    starts, stops = rows.decisions["start_sample"], rows.decisions["stop_sample"]
    if part == Part() and not len(starts):
        return Section(0, 0, range(0), *(range(len(table)) for table in (rows.blocks, rows.spikes, rows.pulses)))
    start = -math.inf if part.start_s is None else part.start_s * sampling_frequency
    stop = math.inf if part.stop_s is None else part.stop_s * sampling_frequency
    inside = np.flatnonzero((starts >= start) & (stops <= stop))
    if not len(inside):
        extent = (
            f"{starts[0] / sampling_frequency:g} to {stops[-1] / sampling_frequency:g} s" if len(starts) else "none"
        )
        raise ConfigError(f"there is no decision in this part; on the rig's clock there are those of {extent}")
    first, last = int(inside[0]), int(inside[-1])
    ends = rows.blocks["start_sample"] + rows.blocks["n_samples"]
    blocks = range(
        int(np.searchsorted(rows.blocks["start_sample"], starts[first])) if first else 0,
        min(len(ends), int(np.searchsorted(ends, stops[last])) + 1) if last + 1 < len(stops) else len(ends),
    )
    spikes = _written(rows.blocks["n_spikes"], blocks, len(rows.spikes))
    pulses = _written(rows.blocks["n_pulses"], blocks, len(rows.pulses))
    return Section(int(starts[first]), int(stops[last]), range(first, last + 1), blocks, spikes, pulses)


def _written(counts: npt.NDArray[np.int32], blocks: range, n_rows: int) -> range:
    """Return the rows that were written with these blocks, of which each wrote so many."""
    edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return range(int(edges[blocks.start]), n_rows if blocks.stop == len(counts) else int(edges[blocks.stop]))


class Comparison:
    """The log of a replay: compares instead of writing, in a section of the recording."""

    def __init__(
        self,
        rows: Rows,
        section: Section,
        recording: Recording,
        engine: EnginePort,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        rate = recording.info.sampling_frequency
        self._recorded, self._recording, self._engine, self._on_progress = rows, recording, engine, on_progress
        self._section = section
        ring = new_ring(rows.decisions.dtype, ROWS, RECORDER)
        self._rows = DecisionRows(ring, recording.header["event_names"], recording.info.sampling_frequency)
        self._replayed = RingReader(ring, RECORDER)
        self._rings = self._replayed, engine.recorded_spikes, engine.recorded_pulses, engine.recorded_blocks
        cut = rows.cut
        self._decisions = Stream("decision", rows.decisions, section.decisions, rate, "stop_sample", cut=cut)
        self.pulses = Stream("pulse", rows.pulses, section.pulses, rate, "sample_index", cut=cut)
        self.spikes = Stream("spike", rows.spikes, section.spikes, rate, "sample_index", cut=cut)
        self._blocks = Stream("block", rows.blocks, section.blocks, rate, "start_sample", cut=cut)
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
            self._on_progress(self.decisions / max(1, self._section.decisions.stop))

    def finish(self) -> list[str]:
        """Return every difference found, as sentences; none if the replay agrees."""
        self._compare()
        altered = self._altered_spikes() if self._recording.complete else []
        return [*altered, *(s for stream in self._streams for s in stream.finish())]

    @property
    def n_decisions(self) -> int:
        """Decisions of the section that were replayed."""
        return max(0, self.decisions - self._section.decisions.start)

    @property
    def differences_before(self) -> int:
        """Rows before the section that differ."""
        return sum(stream.n_before for stream in self._streams)

    @property
    def _streams(self) -> tuple[Stream, ...]:
        return self.spikes, self._decisions, self.pulses, self._blocks

    def _altered_spikes(self) -> list[str]:
        """Name the spikes on which the file's two tables disagree: one of the two was altered."""
        told, rate = [], self._recording.info.sampling_frequency
        spikes = self._recorded.spikes
        for channel, peaks in enumerate(self._recording.unit_spikes()):
            table = self._inside(spikes["sample_index"][spikes["channel_index"] == channel])
            units = self._inside(peaks)
            for name, more, less in (("detected_spikes", table, units), ("units", units, table)):
                told += [
                    f"spike on channel {channel} at {sample / rate:.5f} s (sample {sample}) stands in {name} only"
                    for sample in np.setdiff1d(more, less).tolist()
                ]
        n_more = len(told) - MOST_DIFFERENCES
        return told[:MOST_DIFFERENCES] + ([f"{n_more} more spikes stand in one table only"] if n_more > 0 else [])

    def _inside(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the peaks in the section; before the first decision and after the last one nothing is cut off."""
        section = self._section
        first = -1 if section.decisions.start == 0 else section.start_sample
        whole = section.decisions.stop == len(self._recorded.decisions)
        return samples[(samples >= first) & ((samples < section.stop_sample) | whole)]
