"""What the columns of a recording are, with their units, and how a few rows of one are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core.types import Answer
from wetloop.recording import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from wetloop.recording.reader import Recording
    from wetloop.recording.schema import Column, Table

    Read = Callable[[int, int], npt.NDArray[Any]]

SUFFIX_UNITS = {
    "s": "s", "us": "us", "ns": "ns", "ppm": "ppm", "uv": "uV", "nc": "nC", "sample": "samples", "samples": "samples",
    "height": "pixels", "width": "pixels",
}  # fmt: skip
"""Unit of a column by the last word of its name."""
NAMED_UNITS = {"sample_index": "samples", "reward": "a.u.", "action": "a.u.", "observation": "a.u."}
CODES = schema.MEANINGS | {"answer": tuple(answer.name.lower() for answer in Answer)}


@dataclass(frozen=True)
class Field:
    """One column: what it means, and how its rows are read.

    Attributes
    ----------
    dtype
        Of one row; of shape (n,) for the columns ``action`` and ``observation``, (height, width) for a picture.
    read
        Returns the rows from the first to before the second number.
    codes
        What the codes 0, 1, ... stand for, in a column of codes.
    parts
        Names of the components of a row, or of its bits.
    words_only
        Whether its codes mean nothing by themselves, so that it stands in tables of words only.
    """

    name: str
    dtype: np.dtype[Any]
    unit: str
    description: str
    read: Read
    codes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    words_only: bool = False


def unit_of(name: str, amplitude_unit: str) -> str:
    """Return the unit of a column by its name; ``amplitude_unit`` is the rig's. Empty for what is counted or coded."""
    last = name.rpartition("_")[2]
    return amplitude_unit if last == "amplitude" else NAMED_UNITS.get(name) or SUFFIX_UNITS.get(last, "")


def table_fields(recording: Recording, table: Table) -> list[Field]:
    """Return the columns of a table by the names of their fields, in the file's order and of its types."""
    named = [(column.field or column.name, column) for column in table.columns]
    left_out = {"timestamp", "electrodes"}
    return [_stored(recording, table, name, column) for name, column in named if name not in left_out]


def _stored(recording: Recording, table: Table, name: str, column: Column) -> Field:
    unit, events = recording.info.unit, tuple(recording.header["event_names"])
    bits = ", ".join(f"bit {bit} {event}" for bit, event in enumerate(events)) or "none"
    return Field(
        name=name,
        dtype=np.dtype(column.dtype),
        unit=unit_of(name, unit),
        description=column.description.format(unit=unit, events=bits),
        read=reading(recording, f"{table.path}/{column.name}", column.dtype),
        codes=tuple(recording.patterns) if name == "pattern" else CODES.get(name, ()),
        parts=events if name == "events" else (),
    )


def reading(recording: Recording, where: str, dtype: str) -> Read:
    """Return how rows of a dataset are read; one that an older recording lacks reads as 0."""
    if not recording.has(where):
        return lambda start, stop: np.zeros(stop - start, dtype)
    if np.dtype(dtype).kind == "U":
        return lambda start, stop: np.array([text.decode() for text in recording.values(where, start, stop)], dtype)
    return lambda start, stop: recording.values(where, start, stop)


def series_field(recording: Recording, name: str, path: str, dtype: str, description: str) -> Field:
    """Return what stands beside the decisions, row by row: actions or observations."""
    parts = tuple(recording.header[f"{name}_names"])
    width = recording.header[f"n_{name}s"]
    named = parts if len(set(parts)) == width else tuple(map(str, range(width)))
    read = reading(recording, f"{path}/data", dtype)
    return Field(name, np.dtype((dtype, (width,))), unit_of(name, ""), description, read, parts=named)


def seconds_field(samples: Field, sampling_frequency: float, description: str) -> Field:
    """Return the time on the rig's clock, s, of a column of samples."""
    return Field(
        "time_s", np.dtype("<f8"), "s", description, lambda start, stop: samples.read(start, stop) / sampling_frequency
    )


def electrodes_field(recording: Recording, pattern: Field) -> Field:
    """Return the channels that each pulse stimulated at once, in words: they follow from its pattern."""
    channels = [" ".join(map(str, made.channels)) for made in recording.patterns.values()]
    words = tuple(dict.fromkeys(channels))
    numbers = np.array([words.index(word) for word in channels], np.int32)
    about = "Channels that were stimulated at once."
    return Field(
        "electrodes", numbers.dtype, "", about, lambda start, stop: numbers[pattern.read(start, stop)], words,
        words_only=True,
    )  # fmt: skip


def array_fields(rows: npt.NDArray[Any], described: Sequence[Field]) -> list[Field]:
    """Return the described columns as columns of an array in memory."""

    def read(name: str) -> Read:
        return lambda start, stop: rows[name][start:stop]

    return [Field(f.name, f.dtype, f.unit, f.description, read(f.name)) for f in described]
