"""Builds NWB columns and tables that can grow: empty, chunked, compressed and checked."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.common import DynamicTable, DynamicTableRegion, MeaningsTable, VectorData, VectorIndex
from pynwb.epoch import TimeIntervals
from pynwb.event import EventsTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wetloop.recording.schema import Column, Table

FEW_ROWS = 256


class Columns:
    """Makes columns; ``filters`` are h5py's keywords for all of them."""

    def __init__(self, filters: Mapping[str, Any]) -> None:
        self._filters = filters

    def grows(self, dtype: str, chunk_rows: int, shape: tuple[int, ...] = ()) -> H5DataIO:
        """Return data of no rows yet, each of this shape."""
        empty, chunks = np.zeros((0, *shape), dtype), (chunk_rows, *shape)
        with warnings.catch_warnings():  # a filter that not every HDF5 has was asked for
            warnings.simplefilter("ignore", UserWarning)
            return H5DataIO(empty, maxshape=(None, *shape), chunks=chunks, allow_plugin_filters=True, **self._filters)

    def vector(self, column: Column, chunk_rows: int, shape: tuple[int, ...] = ()) -> VectorData:
        """Return a column of numbers."""
        data = self.grows(column.dtype, chunk_rows, shape)
        return VectorData(name=column.name, description=column.description, data=data)

    def text(self, name: str, description: str) -> VectorData:
        """Return a column of texts, which HDF5 can neither compress nor check."""
        data = H5DataIO(np.zeros(0, h5py.string_dtype()), maxshape=(None,), chunks=(FEW_ROWS,))
        return VectorData(name=name, description=description, data=data)

    def region(self, column: Column, chunk_rows: int, table: DynamicTable) -> DynamicTableRegion:
        """Return a column of rows of another table."""
        data = self.grows(column.dtype, chunk_rows)
        return DynamicTableRegion(name=column.name, description=column.description, data=data, table=table)

    def ragged(self, column: VectorData, chunk_rows: int) -> list[VectorData]:
        """Return the column with the index that gives each row a run of its values."""
        return [
            column,
            VectorIndex(name=f"{column.name}_index", target=column, data=self.grows("u4", chunk_rows)),
        ]

    def table(self, table: Table, columns: Iterable[VectorData]) -> DynamicTable:
        """Return a table of these columns."""
        return DynamicTable(
            name=leaf(table.path),
            description=table.description,
            id=self.grows("i8", table.chunk_rows),
            **_named(columns),
        )

    def events(self, table: Table, columns: Iterable[VectorData], codes: Mapping[str, Sequence[str]]) -> EventsTable:
        """Return a table of events; ``codes`` spells out the columns of codes."""
        named = _named(columns)
        return EventsTable(
            name=leaf(table.path),
            description=table.description,
            source_description="Wetloop engine",
            id=self.grows("i8", table.chunk_rows),
            meanings_tables=[_meanings(c, codes[c.name]) for c in named["columns"] if c.name in codes],
            **named,
        )

    def intervals(self, path: str, description: str, columns: Iterable[VectorData]) -> TimeIntervals:
        """Return a table of intervals."""
        ids = self.grows("i8", FEW_ROWS)
        return TimeIntervals(name=leaf(path), description=description, id=ids, **_named(columns))


def leaf(path: str) -> str:
    """Return the last part of a path inside the file."""
    return path.rpartition("/")[2]


def _named(columns: Iterable[VectorData]) -> dict[str, Any]:
    """Return hdmf's two arguments: it would take the names of columns without rows for numbers."""
    made = list(columns)
    return {"columns": made, "colnames": [c.name for c in made if not isinstance(c, VectorIndex)]}


def _meanings(column: VectorData, names: Sequence[str]) -> MeaningsTable:
    value = VectorData(name="value", description="code", data=np.arange(len(names), dtype=np.uint8))
    meaning = VectorData(name="meaning", description="what the code says", data=list(names))
    return MeaningsTable(target=column, columns=[value, meaning], colnames=["value", "meaning"])
