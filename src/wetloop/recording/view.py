"""Tables of a recording that know their columns and units, and read no more of them than is asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wetloop.recording.flat import data_frame
from wetloop.recording.markup import as_html, as_text
from wetloop.recording.runs import Runs, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.recording.fields import Field
    from wetloop.recording.timeline import Timeline

BATCH_ROWS = 1 << 16


class ColumnView:
    """One column of a table, unread: slice it, or take all of it with ``numpy``.

    Attributes
    ----------
    field
        Its name, type, unit, description and codes.
    """

    def __init__(self, field: Field, runs: Runs) -> None:
        self.field = field
        self._runs = runs

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, key: Any) -> Any:
        """Return a row or rows; only a plain slice or a number reads no more than that."""
        if isinstance(key, slice) and key.step in {None, 1}:
            start, stop, _ = key.indices(len(self))
            return read(self.field, self._runs.cut(start, stop))
        if isinstance(key, int | np.integer):
            row = range(len(self))[key]
            return read(self.field, self._runs.cut(row, row + 1))[0]
        return self.numpy()[key]

    def __iter__(self) -> Iterator[Any]:
        for runs in self._runs.batches(BATCH_ROWS):
            yield from read(self.field, runs)

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.numpy(), dtype, copy=copy)

    def numpy(self) -> npt.NDArray[Any]:
        """Return all of it, shape (n_rows,), or (n_rows, ...) where each row has several values."""
        return read(self.field, self._runs)

    def __repr__(self) -> str:
        unit = f", {self.field.unit}" if self.field.unit else ""
        return f"{self.field.name}: {len(self)} rows, {self.field.dtype}{unit}, unread. {self.field.description}"


class TableView:
    """Rows of one table, unread.

    ``view[3:9]`` are rows by number, ``view.between(10, 20)`` rows by time in s, ``view["amplitude_uv"]`` one column,
    ``view[["time_s", "amplitude_uv"]]`` several. All of these are views again; ``view[3]`` is one record.

    Parameters
    ----------
    name
        Of the table.
    fields
        Its columns.
    timeline
        Where its rows lie in time.
    runs
        Which rows of the file these are; by default all.
    """

    def __init__(self, name: str, fields: Sequence[Field], timeline: Timeline, runs: Runs | None = None) -> None:
        self.name = name
        self._fields = {field.name: field for field in fields}
        self._timeline = timeline
        self._runs = Runs.of(0, timeline.n_rows) if runs is None else runs

    @property
    def columns(self) -> dict[str, Field]:
        """The columns by name, each with its ``dtype``, ``unit``, ``description`` and ``codes``."""
        return dict(self._fields)

    def between(self, start_s: float = -math.inf, stop_s: float = math.inf) -> TableView:
        """Return the rows of the half-open window from ``start_s`` to before ``stop_s`` on the rig's clock, s."""
        return self._like(self._runs & self._timeline.between(start_s, stop_s))

    def numpy(self) -> Records:
        """Return the rows as a structured array, shape (n_rows,): exact values, codes as numbers."""
        exact = [field for field in self._fields.values() if not field.words_only]
        rows = np.zeros(len(self), [(field.name, field.dtype) for field in exact])
        for field in exact:
            rows[field.name] = read(field, self._runs)
        return rows

    def pandas(self) -> Any:
        """Return the rows as a ``pandas.DataFrame`` with one value per cell: codes as words, components by name.

        ``attrs["units"]`` and ``attrs["descriptions"]`` tell of each column. Pictures are left out. Needs
        ``wetloop[tables]``.
        """
        return data_frame(self._fields.values(), self.read)

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return the values of one column, of any, also of those in words only."""
        return read(self._fields[name], self._runs)

    def batches(self, n_rows: int = BATCH_ROWS) -> Iterator[TableView]:
        """Yield views of the rows, ``n_rows`` at a time."""
        for runs in self._runs.batches(n_rows):
            yield self._like(runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[np.void]:
        for batch in self.batches():
            yield from batch.numpy()

    @overload
    def __getitem__(self, key: str) -> ColumnView: ...
    @overload
    def __getitem__(self, key: slice | list[str]) -> TableView: ...
    @overload
    def __getitem__(self, key: int) -> np.void: ...
    def __getitem__(self, key: Any) -> Any:
        """Return a column by its name, several by a list of names, rows by a slice, a record by its number."""
        if isinstance(key, str):
            return ColumnView(self._field(key), self._runs)
        if isinstance(key, list):
            return self._like(self._runs, [self._field(name) for name in key])
        if isinstance(key, slice):
            return self._like(self._runs.cut(*rows_of(key, len(self), self.name)))
        row = range(len(self))[key]
        return self._like(self._runs.cut(row, row + 1)).numpy()[0]

    def __repr__(self) -> str:
        return as_text(self.name, len(self), self._fields.values())

    def _repr_html_(self) -> str:
        return as_html(self.name, len(self), self._fields.values())

    def _field(self, name: str) -> Field:
        if name not in self._fields:
            raise KeyError(f"{self.name} has no column {name!r}, but {', '.join(self._fields)}")
        return self._fields[name]

    def _like(self, runs: Runs, fields: Sequence[Field] | None = None) -> TableView:
        return TableView(self.name, fields or list(self._fields.values()), self._timeline, runs)


def read(field: Field, runs: Runs) -> npt.NDArray[Any]:
    """Return the values of a column in these rows."""
    parts = [field.read(start, stop) for start, stop in runs.spans]
    base, shape = field.dtype.subdtype or (field.dtype, ())
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, *shape), base), *parts])
