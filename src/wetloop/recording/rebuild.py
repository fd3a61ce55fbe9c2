"""Writes a new recording from what was read of a damaged one, and tells what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.core.errors import RecordingError, WetloopError
from wetloop.recording import schema
from wetloop.recording.derive import Coverage
from wetloop.recording.header import header_from_documents
from wetloop.recording.journal import CHUNK, CHUNKS, ROWS, SAMPLES, journal_path, rows_in, samples_in
from wetloop.recording.meter import Meter, part_of
from wetloop.recording.samples import SampleClock
from wetloop.recording.tables import fitted
from wetloop.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wetloop.core.types import Records, Samples
    from wetloop.recording.header import Header
    from wetloop.recording.journal import Lost, Opening
    from wetloop.recording.survey import Survey

RAW_NUMBER = -1
"""Stands for the raw samples among the numbers of tables."""
ZEROS_AT_ONCE = 1 << 13


@dataclass(frozen=True)
class RecoverReport:
    """What was recovered.

    Attributes
    ----------
    file
        The recording that was asked about.
    whole
        Whether it is complete and readable, so that nothing was to be done.
    recovered
        The new recording; None where there is none.
    rows
        Rows of each table in it, by path.
    raw_samples, duration_s
        Raw samples per channel; from the first to the last sample, s.
    acknowledged_sample
        Up to here everything was on the disk for certain; -1 where no journal tells.
    lost
        Intervals in which something is missing: ``from_sample``, ``to_sample``, ``from_s``, ``to_s`` (None: up to the
        end of the session, which is unknown), and what.
    notes
        What was found on the way, as sentences.
    """

    file: str
    whole: bool
    recovered: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    raw_samples: int = 0
    duration_s: float = 0.0
    acknowledged_sample: int = -1
    lost: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def rebuild(
    sources: Sequence[Survey],
    path: Path,
    into: Path,
    faults: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
) -> RecoverReport:
    """Write ``into`` from the remains of ``path``, each table from the source that has most of it."""
    opening = next(source.opening for source in sources if source.opening is not None)
    header = _header(opening, path)
    rate_hz = header.info.sampling_frequency
    raw = any(source.sample_bytes for source in sources)
    writer = Writer(into, header, raw_samples=raw, compression=opening.compression)
    rebuilt = _Rebuilt(writer, path, header.info.n_channels)
    for k, source in enumerate(sources):
        rebuilt.take(source, _chosen(source, sources), part_of(on_progress, k / len(sources), (k + 1) / len(sources)))
    summary = next((source.summary for source in sources if source.summary), "")
    losses = [*rebuilt.losses(sources[0], ended=bool(summary)), *rebuilt.raw_losses(asked_for=opening.raw_samples)]
    report = RecoverReport(
        file=str(path),
        whole=False,
        recovered=str(into),
        rows=rebuilt.n_rows,
        raw_samples=rebuilt.n_samples,
        duration_s=(rebuilt.stop - rebuilt.start) / rate_hz,
        acknowledged_sample=next((s.acknowledged_sample for s in sources if s.path == journal_path(path)), -1),
        lost=[loss.told(rate_hz) for loss in losses],
        notes=[*faults, *(remark for source in sources for remark in _remarks(source))],
    )
    mark = report.to_dict() | {"when": datetime.now(UTC).isoformat(timespec="seconds")}
    del mark["recovered"]
    writer.finish(json.loads(summary) if summary else {"ended": "recovered"}, recovered=mark)
    return report


def _header(opening: Opening, path: Path) -> Header:
    try:
        return header_from_documents(opening.documents)
    except (KeyError, ValueError, TypeError, WetloopError) as error:
        raise RecordingError(
            f"{path}: nothing can be recovered, for the description of the session is damaged: {error!r}"
        ) from error


class Loss(NamedTuple):
    """What is missing between two samples; ``to_sample`` None: up to the unknown end of the session."""

    what: str
    from_sample: int
    to_sample: int | None

    def told(self, rate_hz: float) -> dict[str, Any]:
        """Return it with its times, s."""
        to_s = None if self.to_sample is None else self.to_sample / rate_hz
        return self._asdict() | {"from_s": self.from_sample / rate_hz, "to_s": to_s}


def _chosen(source: Survey, sources: Sequence[Survey]) -> set[int]:
    """Return the kinds of data to take from one source: tables by number, raw samples as -1; the first wins a tie."""
    if source.opening is None:
        return set()
    names = [path for path, _ in source.opening.tables]
    chosen = {number for number, name in enumerate(names) if source is _richest(sources, name)}
    return chosen | ({RAW_NUMBER} if source is max(sources, key=lambda s: s.sample_bytes) else set())


def _richest(sources: Sequence[Survey], name: str) -> Survey:
    return max(sources, key=lambda source: source.n_rows.get(name, 0))


def _remarks(source: Survey) -> Iterator[str]:
    for gap in source.gaps:
        yield f"{source.path.name}: bytes {gap.start} to {gap.stop} are damaged and left out"
    if source.usable < source.size:
        yield (
            f"{source.path.name}: nothing after byte {source.usable} can be used "
            f"({source.size - source.usable} bytes, on their way to the disk when writing stopped)"
        )


class _Rebuilt:
    """The new recording, and what went into it: rows, samples, and the span of the blocks, samples."""

    def __init__(self, writer: Writer, path: Path, n_channels: int) -> None:
        self._writer, self._path, self._n_channels = writer, path, n_channels
        self._tables = {table.path: table for table in writer.tables}
        self.n_rows = dict.fromkeys(self._tables, 0)
        self.n_samples = self.start = self.stop = 0
        self._coverage = Coverage()
        self._lost: list[Lost] = []
        self._holes: list[tuple[int, int]] = []

    def take(self, source: Survey, chosen: set[int], on_progress: Callable[[float], None] | None = None) -> None:
        """Write the chosen data of one source."""
        if source.opening is None:
            return
        names = [name for name, _ in source.opening.tables]
        wanted = {schema.RAW if number == RAW_NUMBER else names[number] for number in chosen}
        self._lost += [lost for lost in source.lost if lost.path in wanted]
        first_gap = min((gap.start for gap in source.gaps), default=source.size)
        meter = Meter(source.size + source.chunk_bytes, on_progress)
        for frame in source.frames():
            if frame.kind == ROWS and frame.table in chosen:
                path, dtype = source.opening.tables[frame.table]
                self._rows(path, rows_in(frame.payload, dtype))
            elif frame.kind == SAMPLES and RAW_NUMBER in chosen and frame.start < first_gap:
                self._samples(samples_in(frame.payload, self._n_channels))
            elif frame.kind == CHUNKS and RAW_NUMBER in chosen:
                self._chunks(rows_in(frame.payload, CHUNK), meter)
            meter.add(frame.stop - frame.start)

    def _rows(self, path: str, rows: Records) -> None:
        table = self._tables[path]
        self._writer.append_to(table, fitted(rows, self._writer.dtype(table)))
        if path == schema.BLOCKS.path:
            self._note_blocks(rows)
        self.n_rows[path] += len(rows)

    def _samples(self, samples: Samples) -> None:
        self._writer.append(samples=samples)
        self.n_samples += len(samples)

    def _chunks(self, chunks: Records, meter: Meter) -> None:
        """Copy chunks as they stand in the damaged file; zeros keep the place of those that are missing between."""
        with self._path.open("rb") as file:
            for chunk in chunks:
                while self.n_samples < chunk["first_row"]:
                    n_rows = min(ZEROS_AT_ONCE, int(chunk["first_row"]) - self.n_samples)
                    self._samples(np.zeros((n_rows, self._n_channels), np.int16))
                file.seek(int(chunk["offset"]))
                stored = file.read(int(chunk["stored_bytes"]))
                self._writer.append_stored(stored, int(chunk["filter_mask"]), int(chunk["n_rows"]))
                self.n_samples += int(chunk["n_rows"])
                meter.add(int(chunk["stored_bytes"]))

    def _note_blocks(self, rows: Records) -> None:
        starts, stops = rows["start_sample"], rows["start_sample"] + rows["n_samples"]
        if not self.n_rows[schema.BLOCKS.path]:
            self.start = self.stop = int(starts[0])
        before = np.append(self.stop, stops[:-1])
        for k in np.flatnonzero(starts - rows["lost_samples"] > before):
            self._holes.append((int(before[k]), int(starts[k] - rows["lost_samples"][k])))
        self.stop = int(stops[-1])
        self._coverage.add(starts, stops)

    def losses(self, source: Survey, *, ended: bool) -> Iterator[Loss]:
        """Yield the intervals in which rows are missing; ``source`` is the first choice."""
        for gap in source.gaps:
            yield Loss("some rows", gap.from_sample, gap.to_sample)
        for lost in self._lost:
            if lost.path != schema.RAW:
                yield Loss(f"rows of {lost.path}", lost.start, lost.stop)
        for start, stop in self._holes:
            yield Loss("blocks", start, stop)
        if not ended:
            yield Loss("everything", self.stop, None)

    def raw_losses(self, *, asked_for: bool) -> Iterator[Loss]:
        """Yield what is missing of the raw samples."""
        clock = SampleClock(self._coverage.spans)
        for lost in self._lost:
            if lost.path == schema.RAW and lost.stop is not None:
                yield Loss(schema.LOST_SAMPLES, clock.sample_of(lost.start), clock.sample_of(lost.stop))
        if asked_for and self.n_samples < clock.n_rows:
            yield Loss(schema.LOST_SAMPLES, clock.sample_of(self.n_samples), self.stop)
        elif any(lost.path == schema.RAW and lost.stop is None for lost in self._lost):
            yield Loss(schema.LOST_SAMPLES, clock.sample_of(self.n_samples), None)
