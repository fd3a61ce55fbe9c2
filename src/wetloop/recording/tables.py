"""Rows to and from the tables of an open recording, with h5py alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.recording import schema
from wetloop.recording.header import parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import h5py
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records
    from wetloop.recording.header import Header
    from wetloop.recording.schema import Table

STARTS = {
    schema.BLOCKS: {schema.RAW: "start_sample"},
    schema.DECISIONS: {schema.ACTION: "stop_sample", schema.OBSERVATION: "stop_sample"},
}
"""Series of regular samples that begin with the first row of a table, and the field that says where."""


def extend(dataset: h5py.Dataset, values: npt.NDArray[np.generic]) -> None:
    """Append ``values`` along the first axis."""
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def read_rows(read: Callable[[str], npt.NDArray[Any]], table: Table, dtype: np.dtype[np.void], n_rows: int) -> Records:
    """Return all rows of a table as records of any of its fields; those that the table does not hold are 0.

    ``read`` returns the values of a dataset.
    """
    rows = np.zeros(n_rows, dtype)
    for field, name in table.exact.items():
        if field in (dtype.names or ()):
            rows[field] = read(f"{table.path}/{name}")
    return rows


def fitted(rows: Records, dtype: np.dtype[np.void]) -> Records:
    """Return rows of another recording as this type; fields that they lack are 0."""
    taken = np.zeros(len(rows), dtype)
    for name in set(dtype.names or ()) & set(rows.dtype.names or ()):
        taken[name] = rows[name]
    return taken


def _stored(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as HDF5 takes them: texts of any length for those of a record."""
    return values.astype(object) if values.dtype.kind == "S" else values


class Growing:
    """One table of the file, its datasets kept open."""

    def __init__(self, file: h5py.File, table: Table, sampling_frequency: float) -> None:
        self._group = file[table.path]
        self._datasets: dict[str, h5py.Dataset] = {}
        self._exact = table.exact
        self._timed = any(column.name == "timestamp" for column in table.columns)
        self._sampling_frequency = sampling_frequency
        self.n_rows = 0

    def append(self, rows: Records, derived: Mapping[str, npt.NDArray[np.generic]] | None = None) -> None:
        """Append records and the columns that follow from them."""
        columns = {name: _stored(rows[field]) for field, name in self._exact.items()} | dict(derived or {})
        if self._timed:
            columns["timestamp"] = rows["sample_index"] / self._sampling_frequency
        columns["id"] = np.arange(self.n_rows, self.n_rows + len(rows))
        for name, values in columns.items():
            extend(self._dataset(name), values)
        self.n_rows += len(rows)

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            self._datasets[name] = self._group[name]
        return self._datasets[name]


class Stimuli:
    """What follows from a pulse's pattern: its electrodes and its parameters."""

    def __init__(self, table: PatternTable) -> None:
        self._parameters = parameters(table)
        self._channels = np.array([c for pattern in table.patterns for c in pattern.channels], np.int32)
        self._counts = np.array([len(pattern.channels) for pattern in table.patterns], np.int64)
        self._firsts = np.cumsum(self._counts) - self._counts
        self._n_electrodes = 0

    def derived(self, pulses: Records) -> dict[str, npt.NDArray[np.generic]]:
        """Return the derived columns of the next pulses; the index runs on from the last call."""
        pattern = pulses["pattern"]
        counts = self._counts[pattern]
        ends = np.cumsum(counts)
        total = int(counts.sum())
        where = np.arange(total) + np.repeat(self._firsts[pattern] - (ends - counts), counts)
        index = ends + self._n_electrodes
        self._n_electrodes += total
        names = [column.name for column in schema.PULSE_PARAMETERS]
        values = dict(zip(names, self._parameters[pattern].T, strict=True))
        return {"electrodes": self._channels[where], "electrodes_index": index, **values}


class Tables:
    """All growing tables of a recording."""

    def __init__(self, file: h5py.File, header: Header) -> None:
        frames = (schema.FRAMES,) * header.keeps_frames
        clock = tuple(schema.IN_REAL_TIME) * header.follows_clock
        tables = (schema.SPIKES, schema.PULSES, schema.BLOCKS, schema.COMMANDS, schema.DECISIONS, schema.ALARMS)
        self._file, self._sampling_frequency = file, header.info.sampling_frequency
        self._tables = {t: Growing(file, t, header.info.sampling_frequency) for t in (*tables, *frames, *clock)}
        self._stimuli = Stimuli(header.table)
        self._started: set[str] = set()

    def append(self, table: Table, rows: Records) -> None:
        """Append records to the table; the first ones tell when the series beside it start."""
        for series, field in STARTS.get(table, {}).items():
            self._start(series, int(rows[field][0]))
        derived = self._stimuli.derived(rows) if table is schema.PULSES else None
        self._tables[table].append(rows, derived)
        if table is schema.DECISIONS:
            extend(self._file[f"{schema.ACTION}/data"], rows["action"])
            extend(self._file[f"{schema.OBSERVATION}/data"], rows["observation"])
        elif table is schema.FRAMES:
            extend(self._file[f"{schema.GAME_FRAMES}/data"], rows["frame"])
            extend(self._file[f"{schema.GAME_FRAMES}/timestamps"], rows["sample_index"] / self._sampling_frequency)

    def leave_out_empty(self) -> None:
        """Take tables out of the file that most sessions have nothing for."""
        for table in schema.LEFT_OUT_EMPTY:
            if table in self._tables and not self._tables[table].n_rows:
                del self._tables[table]
                del self._file[table.path]

    def _start(self, series: str, sample: int) -> None:
        if series not in self._started and series in self._file:
            self._file[f"{series}/starting_time"][()] = sample / self._sampling_frequency
        self._started.add(series)
