"""What can be read of a recording, piece by piece: each that cannot costs itself and no other."""

from __future__ import annotations

import contextlib
import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.journal import CHUNK, How, Journal, Lost, Opening
from wetloop.recording.raw import compression_of
from wetloop.recording.texts import is_intact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.recording.meter import Meter

UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)
"""What h5py raises for damage."""
ROWS_AT_ONCE = 1 << 16
EXPANSION = 1032
"""How many bytes a stored byte can become at most (DEFLATE, by zlib's technical notes)."""
BESIDE = {
    schema.DECISIONS: {"action": f"{schema.ACTION}/data", "observation": f"{schema.OBSERVATION}/data"},
    schema.FRAMES: {"frame": f"{schema.GAME_FRAMES}/data"},
}
"""Fields of records that stand in series of their own."""
MOMENTS = {schema.SPIKES: "known_sample", schema.DECISIONS: "stop_sample", schema.BLOCKS: "start_sample"}
"""Fields in whose order rows were written; of other tables, ``sample_index`` if there is one."""


def names_of(group: h5py.Group, base: str = "") -> Iterator[str]:
    """Yield the names of all datasets that are really in this file."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Group):
                yield from names_of(item, f"{base}{name}/")
            else:
                yield f"{base}{name}"


def is_readable(dataset: h5py.Dataset, meter: Meter) -> bool:
    """Read a dataset to its end; False where that cannot be done."""
    try:
        n_rows, step = _n_rows(dataset), _step(dataset)
        for start in range(0, n_rows, step):
            _piece(dataset, start, min(n_rows, start + step))
            meter.add(dataset.id.get_storage_size() * step // max(1, n_rows))
    except UNREADABLE:
        return False
    return True


def _piece(dataset: h5py.Dataset, start: int, stop: int) -> npt.NDArray[Any]:
    """Return rows that lie within one chunk; one that was never written is no row of zeros."""
    if dataset.shape == ():
        if not is_intact(dataset):
            raise ValueError(f"{dataset.name} is damaged")
        return np.asarray(dataset[()])
    if dataset.chunks and _stored(dataset, start) is None:
        raise ValueError(f"{dataset.name}: rows {start} to {stop} were never written")
    values: npt.NDArray[Any] = dataset[start:stop]
    return values


def _stored(dataset: h5py.Dataset, row: int) -> tuple[int, int, int] | None:
    """Return the filter mask of the chunk with this row, where it stands and how long it is, bytes; None without one.

    Where the data have more axes, the first chunk along them is told.
    """
    row -= row % dataset.chunks[0]
    found = dataset.id.get_chunk_info_by_coord((row, *(0,) * (dataset.ndim - 1)))
    if found.byte_offset is None:
        return None
    return int(found.filter_mask), int(found.byte_offset), int(found.size)


def _step(dataset: h5py.Dataset) -> int:
    return int(dataset.chunks[0]) if dataset.shape and dataset.chunks else ROWS_AT_ONCE


def _n_rows(dataset: h5py.Dataset) -> int:
    """Return the number of rows that may be stored: a torn or hostile file may claim more."""
    if dataset.shape == ():
        return 1
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies outside of the file")
    row_bytes: int = max(1, dataset.dtype.itemsize * math.prod(dataset.shape[1:]))
    most = int(dataset.file.id.get_filesize()) * EXPANSION // row_bytes
    return min(int(dataset.shape[0]), most)


class Remains:
    """The exact columns of each table, cut to the shortest, and raw samples; what is derived is not needed.

    Parameters
    ----------
    file, n_bytes
        The recording, open, and how long it really is, bytes.
    meter
        Told what was read.

    Raises
    ------
    LookupError
        Where the description of the session is gone.
    """

    def __init__(self, file: h5py.File, n_bytes: int, meter: Meter) -> None:
        self._file, self._n_bytes, self._meter = file, n_bytes, meter
        found = {name: file[f"{schema.SCRATCH}/{name}"] for name in schema.DOCUMENTS}
        texts = {name: dataset.asstr()[()] for name, dataset in found.items()}
        head = json.loads(texts["header"])
        types = schema.RECORDS | {schema.DECISIONS: schema.decision_dtype(head["n_actions"], head["n_observations"])}
        if schema.FRAMES.path in file:
            types |= {schema.FRAMES: schema.frame_dtype(tuple(head["frame_shape"]))}
        types |= {table: dtype for table, dtype in schema.SOMETIMES.items() if table.path in file}
        self._types, self._summary = types, texts["summary"]
        self._raw = file[f"{schema.RAW}/data"] if schema.RAW in file else None
        compression = "none" if self._raw is None else compression_of(self._raw)
        if compression is None:
            raise ValueError(f"{schema.RAW} is stored in a way that no recording knows")
        how = How(raw_samples=self._raw is not None, compression=compression)
        self._opening = Opening(texts, [(table.path, dtype) for table, dtype in types.items()], *how)
        self._faults = [f"{d.name} was changed; it is taken as it is" for d in found.values() if not is_intact(d)]

    def extract(self, into: Path) -> list[str]:
        """Write all that is readable as a journal, and return what is not, in words."""
        try:
            with contextlib.closing(Journal(into, self._opening, "tables")) as journal:
                self._write(journal)
        except OSError as error:
            raise RecordingError(f"{into.parent.parent}: {error.strerror}; say --into FILE on another disk") from error
        return self._faults

    def _write(self, journal: Journal) -> None:
        for table in self._types:
            self._table(journal, table)
        if self._raw is not None:
            self._samples(journal, self._raw)
        if self._file.attrs[schema.COMPLETE_ATTRIBUTE]:
            journal.summary(self._summary)
        journal.sync()

    def _table(self, journal: Journal, table: schema.Table) -> None:
        """Write the rows of one table, and between which moments some are missing."""
        where = {field: f"{table.path}/{name}" for field, name in table.exact.items()} | BESIDE.get(table, {})
        try:
            columns = {field: self._file[name] for field, name in where.items() if name in self._file}
            n_rows = min(_n_rows(column) for column in columns.values())
        except UNREADABLE:
            self._faults.append(f"{table.path} is unreadable and left out")
            journal.lost(Lost(table.path, 0, None))
            return
        moment = MOMENTS.get(table, "sample_index")
        last, missing, n_lost = 0, False, 0
        for start in range(0, n_rows, table.chunk_rows):
            stop = min(n_rows, start + table.chunk_rows)
            rows = self._rows(columns, self._types[table], start, stop)
            if rows is None:
                missing, n_lost = True, n_lost + stop - start
                continue
            journal.rows(table.path, rows)
            if moment in columns:
                if missing:
                    journal.lost(Lost(table.path, last, int(rows[moment][0])))
                last, missing = int(rows[moment][-1]), False
        if missing:
            journal.lost(Lost(table.path, last, None))
        if n_lost:
            self._faults.append(f"{n_lost} of {n_rows} rows of {table.path} are unreadable and left out")

    def _rows(
        self, columns: dict[str, h5py.Dataset], dtype: np.dtype[np.void], start: int, stop: int
    ) -> Records | None:
        rows = np.zeros(stop - start, dtype)
        try:
            for field, column in columns.items():
                rows[field] = self._values(column, start, stop)
        except UNREADABLE:
            return None
        return rows

    def _values(self, column: h5py.Dataset, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows of a column, whose chunks may be smaller than the table's."""
        step = _step(column)
        edges = [start, *range(start - start % step + step, stop, step), stop]
        pieces = [_piece(column, a, b) for a, b in pairwise(edges)]
        self._meter.add(sum(piece.nbytes for piece in pieces) // 4)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _samples(self, journal: Journal, data: h5py.Dataset) -> None:
        """Write where the readable chunks stand, and which rows between them are missing."""
        n_rows, step = _n_rows(data), _step(data)
        found = [
            chunk for start in range(0, n_rows, step) if (chunk := self._chunk(data, start, min(n_rows, start + step)))
        ]
        chunks = np.array(found, CHUNK)
        journal.chunks(chunks)
        stop = 0
        for chunk in chunks:
            if chunk["first_row"] > stop:
                journal.lost(Lost(schema.RAW, stop, int(chunk["first_row"])))
            stop = int(chunk["first_row"] + chunk["n_rows"])
        n_lost = n_rows - int(chunks["n_rows"].sum())
        if n_rows > stop:
            journal.lost(Lost(schema.RAW, stop, None))
        if n_lost:
            self._faults.append(
                f"{n_lost} of {n_rows} raw samples are unreadable; zeros keep the place of those between"
            )

    def _chunk(self, data: h5py.Dataset, start: int, stop: int) -> tuple[int, ...] | None:
        """Return where these rows stand, a CHUNK record; None where they cannot be read.

        Nothing but zeros is what a disk has that was never written to, and their checksum is 0, too.
        """
        try:
            samples = _piece(data, start, stop)
            place = _stored(data, start)
        except UNREADABLE:
            return None
        if place is None or sum(place[1:]) > self._n_bytes or not samples.any():
            return None
        self._meter.add(place[-1])
        return start, stop - start, *place, samples.nbytes
