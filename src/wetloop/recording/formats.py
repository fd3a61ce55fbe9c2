"""Writers of one table as CSV or Parquet, a batch of rows at a time."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wetloop.core.extras import from_extra
from wetloop.recording.flat import flat_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.recording.flat import Flat
    from wetloop.recording.view import TableView

    Write = Callable[[Path, TableView, Sequence[Flat], Callable[[int], None]], None]

Format = Literal["csv", "parquet"]
BATCH_ROWS = 1 << 15


def writer(kind: Format) -> Write:
    """Return what writes a view's flat columns to a path and tells of each batch how many rows it had."""
    return _write_csv if kind == "csv" else _parquet_writer()


def _write_csv(path: Path, view: TableView, columns: Sequence[Flat], on_rows: Callable[[int], None]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(column.name for column in columns)
        for batch in view.batches(BATCH_ROWS):
            values = (_cells(column, made) for column, made in flat_values(columns, batch.read))
            rows.writerows(zip(*values, strict=True))
            on_rows(len(batch))


def _cells(column: Flat, values: npt.NDArray[Any]) -> list[Any]:
    """Return what ``csv`` writes so that it reads back exactly; single precision in its own shortest form."""
    if column.words:
        return [column.words[code] for code in values.tolist()]
    cells: list[Any] = values.astype("U32" if values.dtype == np.float32 else values.dtype).tolist()
    return cells


def _parquet_writer() -> Write:
    arrow = from_extra("pyarrow", "tables")
    parquet = from_extra("pyarrow.parquet", "tables")

    def write(path: Path, view: TableView, columns: Sequence[Flat], on_rows: Callable[[int], None]) -> None:
        schema = arrow.schema([_arrow_field(arrow, column) for column in columns])
        with parquet.ParquetWriter(path, schema) as file:
            for batch in view.batches(BATCH_ROWS):
                arrays = [_arrow_array(arrow, column, made) for column, made in flat_values(columns, batch.read)]
                file.write_table(arrow.Table.from_arrays(arrays, schema=schema))
                on_rows(len(batch))

    return write


def _arrow_field(arrow: Any, column: Flat) -> Any:
    text = arrow.dictionary(arrow.int32(), arrow.string()) if column.words else arrow.string()
    kind = text if column.kind == "text" else arrow.from_numpy_dtype(column.dtype)
    return arrow.field(column.name, kind, metadata={"unit": column.unit, "description": column.description})


def _arrow_array(arrow: Any, column: Flat, values: npt.NDArray[Any]) -> Any:
    if column.words:
        return arrow.DictionaryArray.from_arrays(arrow.array(values, arrow.int32()), list(column.words))
    return arrow.array(np.ascontiguousarray(values))
