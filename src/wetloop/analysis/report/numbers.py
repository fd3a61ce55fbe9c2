"""The numbers behind a figure or table: what JSON, CSV and the page all tell."""

from __future__ import annotations

import csv
import dataclasses
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Columns: TypeAlias = dict[str, npt.NDArray[Any]]
"""A table: columns of equal length by name; the names carry the units."""
Scalar: TypeAlias = str | float | int | bool | None


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Base of the dataclasses of numbers: a field is a scalar or a table (``Columns``)."""

    def facts(self) -> dict[str, Scalar]:
        """Return the scalars by name; None in place of NaN."""
        return {name: plain(value) for name, value in self._fields() if not isinstance(value, dict)}

    def tables(self) -> dict[str, Columns]:
        """Return the tables by name."""
        return {name: value for name, value in self._fields() if isinstance(value, dict)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them: a table is a list of values per column."""
        return {**self.facts(), **{name: plain_columns(columns) for name, columns in self.tables().items()}}

    def _fields(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: None in place of what is not finite, no NumPy types."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain_columns(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
    """Return the columns as lists of plain values."""
    return {name: [plain(value) for value in values.tolist()] for name, values in columns.items()}


def worded(value: Any) -> str:
    """Return a value as a reader wants it: numbers with four digits at most, "none" where there is none."""
    value = plain(value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_facts(path: Path, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Write scalars as CSV: the figure, the name of the number, the value; empty where there is none."""
    rows = ((figure, name, value) for figure, named in facts.items() for name, value in named.items())
    _write(path, ("figure", "name", "value"), rows)


def write_table(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a table as CSV; empty where there is no value."""
    _write(path, tuple(columns), zip(*plain_columns(columns).values(), strict=True))


def _write(path: Path, names: tuple[str, ...], rows: Iterator[tuple[Any, ...]] | zip[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
