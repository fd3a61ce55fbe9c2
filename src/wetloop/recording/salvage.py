"""Reads what can be read of a recording, whole, unfinished or damaged, and writes it as a journal.

Damaged HDF5 can crash or hang the library that reads it, so this runs in a process of its own:
``examine`` starts it, and takes a crash for an answer.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.journal import How, Journal, Opening
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from wetloop.core.types import Records

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What h5py raises for damage."""
PATIENCE_S = 30.0
SLOWEST_MB_S = 5.0
"""A library that reads more slowly than this hangs."""
ROWS_AT_ONCE = 1 << 16


class Verdict(NamedTuple):
    """What a file is: ``whole`` if complete and readable to the last byte, else what is wrong with it, in words."""

    whole: bool
    faults: tuple[str, ...]


def examine(path: Path, into: Path) -> Verdict:
    """Read a recording in another process; of one that is not whole, write what is readable as a journal."""
    if not path.is_file():
        return Verdict(whole=False, faults=(f"{path}: there is no such file",))
    command = [sys.executable, "-m", "wetloop.recording.salvage", str(path), str(into)]
    timeout_s = PATIENCE_S + path.stat().st_size / 1e6 / SLOWEST_MB_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603  (our own module)
    except subprocess.TimeoutExpired:
        return Verdict(whole=False, faults=(f"HDF5 hangs on {path}",))
    if done.returncode < 0:
        return Verdict(whole=False, faults=(f"HDF5 crashed on {path} (signal {-done.returncode})",))
    if done.returncode:
        raise RecordingError(f"{path} could not be examined: {done.stderr.strip().splitlines()[-1]}")
    told = json.loads(done.stdout)
    return Verdict(whole=told["whole"], faults=tuple(told["faults"]))


def salvage(path: Path, into: Path) -> Verdict:
    """Do the work of ``examine`` in this process."""
    faults = list(_faults(path))
    if not faults:
        return Verdict(whole=True, faults=())
    try:
        with h5py.File(path, "r") as file:
            faults += _Salvage(file).extract(into)
    except UNREADABLE:
        faults.append("nothing more can be read of it")
    return Verdict(whole=False, faults=tuple(faults))


def _faults(path: Path) -> Iterator[str]:
    """Yield why a file is not whole."""
    try:
        with Recording(path) as recording:
            if not recording.complete:
                yield f"{path} was not completed"
        with h5py.File(path, "r") as file:
            damaged = [name for name in _datasets(file) if not _readable(file[name])]
            if damaged:
                yield f"damaged: {', '.join(damaged)}"
    except RecordingError as error:
        yield str(error)
    except UNREADABLE as error:
        yield f"HDF5 cannot read it: {error}"


def _datasets(group: h5py.Group, base: str = "") -> Iterator[str]:
    """Yield the names of all datasets that are really in this file."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Group):
                yield from _datasets(item, f"{base}{name}/")
            else:
                yield f"{base}{name}"


def _readable(dataset: h5py.Dataset) -> bool:
    try:
        for _ in _slices(dataset, _n_rows(dataset)):
            pass
    except UNREADABLE:
        return False
    return True


def _slices(dataset: h5py.Dataset, n_rows: int) -> Iterator[npt.NDArray[Any]]:
    if dataset.shape == ():
        yield dataset[()]
        return
    step = dataset.chunks[0] if dataset.chunks else ROWS_AT_ONCE
    for start in range(0, n_rows, step):
        yield dataset[start : min(n_rows, start + step)]


def _n_rows(dataset: h5py.Dataset) -> int:
    """Return the number of rows that are stored: a torn or hostile file may claim more."""
    if dataset.shape == ():
        return 1
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies outside of the file")
    claimed = int(dataset.shape[0])
    if dataset.chunks is None:
        return min(claimed, int(dataset.id.get_storage_size()))
    return min(claimed, int(dataset.id.get_num_chunks()) * int(dataset.chunks[0]))


BESIDE = {
    schema.DECISIONS: {"action": f"{schema.ACTION}/data", "observation": f"{schema.OBSERVATION}/data"},
    schema.FRAMES: {"frame": f"{schema.GAME_FRAMES}/data"},
}
"""Fields of records that stand in series of their own."""


class _Salvage:
    """Reads the exact columns of each table, cut to the shortest; what is derived is not needed."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        texts = {name: file[f"{schema.SCRATCH}/{name}"].asstr()[()] for name in schema.DOCUMENTS}
        head = json.loads(texts["header"])
        types = schema.RECORDS | {schema.DECISIONS: schema.decision_dtype(head["n_actions"], head["n_observations"])}
        if schema.FRAMES.path in file:
            types |= {schema.FRAMES: schema.frame_dtype(tuple(head["frame_shape"]))}
        types |= {table: dtype for table, dtype in schema.SOMETIMES.items() if table.path in file}
        self._types, self._summary = types, texts["summary"]
        how = How(raw_samples=schema.RAW in file, compression="none")
        self._opening = Opening(texts, [(table.path, dtype) for table, dtype in types.items()], *how)
        self._faults: list[str] = []

    def extract(self, into: Path) -> list[str]:
        """Write all that is readable, and return what is not, in words."""
        with contextlib.closing(Journal(into, self._opening, "all")) as journal:
            for table in self._types:
                self._table(journal, table)
            if self._opening.raw_samples:
                self._samples(journal)
            if self._file.attrs[schema.COMPLETE_ATTRIBUTE]:
                journal.summary(self._summary)
            journal.sync()
        return self._faults

    def _table(self, journal: Journal, table: schema.Table) -> None:
        where = {field: f"{table.path}/{name}" for field, name in table.exact.items()} | BESIDE.get(table, {})
        columns = {field: self._file[name] for field, name in where.items() if name in self._file}
        n_rows, lost = min(_n_rows(column) for column in columns.values()), 0
        for start in range(0, n_rows, table.chunk_rows):
            stop = min(n_rows, start + table.chunk_rows)
            rows = self._rows(columns, self._types[table], start, stop)
            if rows is None:
                lost += stop - start
            else:
                journal.rows(table.path, rows)
        if lost:
            self._faults.append(f"{lost} of {n_rows} rows of {table.path} are unreadable and left out")

    @staticmethod
    def _rows(columns: dict[str, h5py.Dataset], dtype: np.dtype[np.void], start: int, stop: int) -> Records | None:
        rows = np.zeros(stop - start, dtype)
        try:
            for field, column in columns.items():
                rows[field] = column[start:stop]
        except UNREADABLE:
            return None
        return rows

    def _samples(self, journal: Journal) -> None:
        """Write the raw samples; zeros stand for those that are unreadable, so that the others keep their place."""
        data = self._file[f"{schema.RAW}/data"]
        n_rows, lost = _n_rows(data), 0
        for start in range(0, n_rows, data.chunks[0]):
            stop = min(n_rows, start + data.chunks[0])
            try:
                samples = data[start:stop]
            except UNREADABLE:
                samples = np.zeros((stop - start, data.shape[1]), np.int16)
                lost += stop - start
            journal.samples(samples)
        if lost:
            self._faults.append(f"{lost} of {n_rows} raw samples are unreadable: zeros stand in their place")


def main(arguments: list[str]) -> None:
    """Examine the first file into the second, and say on stdout what was found."""
    verdict = salvage(Path(arguments[0]), Path(arguments[1]))
    sys.stdout.write(json.dumps(verdict._asdict()))


if __name__ == "__main__":
    main(sys.argv[1:])
