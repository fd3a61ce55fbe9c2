"""One value per cell: codes in words, components and bits as columns of their own, for DataFrames and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core.extras import from_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from wetloop.recording.fields import Field


@dataclass(frozen=True)
class Flat:
    """One flat column; ``pick`` gives its values, shape (n_rows,), from those of the field.

    Where ``words`` are given, the values are their numbers.
    """

    name: str
    dtype: np.dtype[Any]
    unit: str
    description: str
    field: str
    pick: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    words: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What its values are, in words: a NumPy type, or text."""
        return "text" if self.words or self.dtype.kind in "UO" else self.dtype.name


def flattened(fields: Iterable[Field]) -> list[Flat]:
    """Return the flat columns of some fields; pictures have none."""
    return [flat for field in fields for flat in _flat(field)]


def _flat(field: Field) -> Iterator[Flat]:
    if field.dtype.shape:
        if len(field.dtype.shape) == 1:
            yield from _components(field)
    elif field.parts:
        yield from _bits(field)
    else:
        yield _named(field, field.name, field.dtype, field.description, lambda values: values)


def _components(field: Field) -> Iterator[Flat]:
    for k, part in enumerate(field.parts):
        about = f"Component {part!r}. {field.description}"
        yield _named(field, f"{field.name}_{part}", field.dtype.base, about, lambda values, k=k: values[:, k])


def _bits(field: Field) -> Iterator[Flat]:
    singular = field.name.removesuffix("s")
    for k, part in enumerate(field.parts):
        name, about = f"{singular}_{part}", f"Whether {part!r} happened."
        yield _named(field, name, np.dtype(bool), about, lambda values, k=k: (values >> k & 1).astype(bool))


def _named(field: Field, name: str, dtype: np.dtype[Any], description: str, pick: Any) -> Flat:
    return Flat(name, dtype, field.unit, description, field.name, pick, field.codes)


def flat_values(
    columns: Iterable[Flat], read: Callable[[str], npt.NDArray[Any]]
) -> Iterator[tuple[Flat, npt.NDArray[Any]]]:
    """Yield each column with its values; ``read`` returns those of a field, which is read once."""
    values: npt.NDArray[Any] = np.zeros(0)
    field = ""
    for column in columns:
        if column.field != field:
            field, values = column.field, read(column.field)
        yield column, column.pick(values)


def data_frame(fields: Iterable[Field], read: Callable[[str], npt.NDArray[Any]]) -> Any:
    """Return the flat columns as a ``pandas.DataFrame``, words as categories."""
    pandas = from_extra("pandas", "tables")
    columns = flattened(fields)
    frame = pandas.DataFrame(
        {
            column.name: pandas.Categorical.from_codes(values, list(column.words)) if column.words else values
            for column, values in flat_values(columns, read)
        }
    )
    frame.attrs["units"] = {column.name: column.unit for column in columns}
    frame.attrs["descriptions"] = {column.name: column.description for column in columns}
    return frame
