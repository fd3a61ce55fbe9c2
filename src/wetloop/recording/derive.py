"""What a finished recording tells twice, for other tools: units, rallies, conditions, from its own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.recording import schema
from wetloop.recording.episodes import NEEDED, episodes
from wetloop.recording.tables import extend, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import h5py
    import numpy.typing as npt

    from wetloop.recording.header import Header


ROWS_AT_ONCE = 1 << 20
SPIKES_AT_ONCE = 1 << 25
"""Spikes sorted in memory at once, in some 0.3 GB; the table is read again for each so many."""


class Coverage:
    """The spans of the rig's clock that were recorded without a gap, from blocks as they come."""

    def __init__(self) -> None:
        self._spans: list[list[int]] = []

    def add(self, starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]) -> None:
        """Add half-open windows, ordered in time, samples."""
        if not len(starts):
            return
        breaks = np.flatnonzero(starts[1:] != stops[:-1])
        firsts = starts[np.append(0, breaks + 1)].tolist()
        lasts = stops[np.append(breaks, len(stops) - 1)].tolist()
        if self._spans and self._spans[-1][1] == firsts[0]:
            self._spans[-1][1] = lasts.pop(0)
            del firsts[0]
        self._spans += [list(span) for span in zip(firsts, lasts, strict=True)]

    @property
    def stop(self) -> int:
        """End of the last span, samples; 0 before the first block."""
        return self._spans[-1][1] if self._spans else 0

    @property
    def spans(self) -> npt.NDArray[np.int64]:
        """Start and stop of each span, samples, shape (n_spans, 2)."""
        return np.array(self._spans, np.int64).reshape(-1, 2)


def write_derived(file: h5py.File, header: Header, spans: npt.NDArray[np.int64], commit: Callable[[], None]) -> None:
    """Write units, episodes and conditions; ``spans`` are free of gaps, samples, shape (n_spans, 2).

    ``commit`` brings to the disk what was written so far: units that no index tells of yet are none.
    """
    _write_units(file, header, spans, commit)
    _write_trials(file, header)
    _write_epochs(file, header, spans)


def _write_units(file: h5py.File, header: Header, spans: npt.NDArray[np.int64], commit: Callable[[], None]) -> None:
    """Write one unit per electrode: its spike times, what was observed, and the electrode."""
    spikes, n = file[schema.SPIKES.path], header.info.n_channels
    counts = np.zeros(n, np.int64)
    for channels in _slices(spikes["electrode"]):
        counts += np.bincount(channels, minlength=n)
    units = file[schema.UNITS]
    for first, stop in _groups(counts):
        peaks = _peaks_by_channel(spikes, first, counts[first:stop])
        for start in range(0, len(peaks), ROWS_AT_ONCE):
            extend(units["spike_times"], peaks[start : start + ROWS_AT_ONCE] / header.info.sampling_frequency)
        commit()
    seconds, at_once = spans / header.info.sampling_frequency, max(1, ROWS_AT_ONCE // max(1, len(spans)))
    for start in range(0, n, at_once):
        extend(units["obs_intervals"], np.tile(seconds, (min(at_once, n - start), 1)))
    columns = {
        "id": np.arange(n),
        "spike_times_index": np.cumsum(counts),
        "obs_intervals_index": len(spans) * np.arange(1, n + 1),
        "electrodes": np.arange(n),
        "electrodes_index": np.arange(1, n + 1),
    }
    _extend_all(units, columns)


def _groups(counts: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of channels whose spikes fit in memory together; no fewer than one channel."""
    first = n_spikes = 0
    for channel, count in enumerate(counts.tolist()):
        if n_spikes + count > SPIKES_AT_ONCE and channel > first:
            yield first, channel
            first, n_spikes = channel, 0
        n_spikes += count
    yield first, len(counts)


def _peaks_by_channel(spikes: h5py.Group, first: int, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the peaks of the channels from ``first`` on, one channel after the other, each in order, samples."""
    ends = np.cumsum(counts)
    peaks, free = np.empty(counts.sum(), np.int64), ends - counts
    for channels, samples in zip(_slices(spikes["electrode"]), _slices(spikes["sample_index"]), strict=True):
        inside = np.flatnonzero((channels >= first) & (channels < first + len(counts)))
        own = (channels[inside] - first).astype(np.uint16)
        order = np.argsort(own, kind="stable")
        own, n_each = own[order], np.bincount(own, minlength=len(counts))
        rank = np.arange(len(own)) - (np.cumsum(n_each) - n_each)[own]
        peaks[free[own] + rank] = samples[inside[order]]
        free += n_each
    for start, stop in zip(ends - counts, ends, strict=True):
        peaks[start:stop].sort(kind="stable")
    return peaks


def _slices(dataset: h5py.Dataset) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, dataset.shape[0], ROWS_AT_ONCE):
        yield dataset[start : start + ROWS_AT_ONCE]


def _write_trials(file: h5py.File, header: Header) -> None:
    """Write the episodes of the session."""
    n_rows = file[f"{schema.DECISIONS.path}/id"].shape[0]
    decisions = read_rows(lambda where: file[where][:], schema.DECISIONS, NEEDED, n_rows)
    found = episodes(decisions, header.event_names)
    columns = _interval_columns(found["start_sample"], found["stop_sample"], header)
    _extend_all(file[schema.TRIALS], columns | {"hits": found["hits"], "ended_by": found["ended_by"].astype(object)})


def _write_epochs(file: h5py.File, header: Header, spans: npt.NDArray[np.int64]) -> None:
    """Write the condition, from the first to the last sample recorded; none for a session without any."""
    columns = _interval_columns(spans[:1, 0], spans[-1:, 1], header)
    _extend_all(file[schema.EPOCHS], columns | {"condition": np.array([header.condition], object)[: len(spans)]})


def _interval_columns(
    start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64], header: Header
) -> dict[str, npt.NDArray[np.generic]]:
    rate_hz = header.info.sampling_frequency
    return {
        "id": np.arange(len(start)),
        "start_time": start / rate_hz,
        "stop_time": stop / rate_hz,
        "start_sample": start,
        "stop_sample": stop,
    }


def _extend_all(group: h5py.Group, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
    for name, values in columns.items():
        extend(group[name], values)
