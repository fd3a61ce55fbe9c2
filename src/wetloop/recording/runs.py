"""Which rows of a table are meant: a few runs of neighbours, however many rows they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


@dataclass(frozen=True)
class Runs:
    """Half-open spans of row numbers, ascending, apart from each other and none of them empty."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, start: int, stop: int) -> Runs:
        """Return one run, or none where it would be empty."""
        return cls(((start, stop),) if start < stop else ())

    @classmethod
    def where(cls, chosen: npt.NDArray[np.bool_], first: int) -> Runs:
        """Return the rows that are True, counted from ``first``; ``chosen`` has the shape (n_rows,)."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]))) + first
        return cls(tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)))

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self.spans)

    def __add__(self, later: Runs) -> Runs:
        """Return these runs and those after them, joined where they touch."""
        if self.spans and later.spans and self.spans[-1][1] == later.spans[0][0]:
            joined = (self.spans[-1][0], later.spans[0][1])
            return Runs((*self.spans[:-1], joined, *later.spans[1:]))
        return Runs(self.spans + later.spans)

    def __and__(self, other: Runs) -> Runs:
        """Return the rows that are in both."""
        both = ((max(a, c), min(b, d)) for a, b in self.spans for c, d in other.spans)
        return Runs(tuple((start, stop) for start, stop in both if start < stop))

    def cut(self, start: int, stop: int) -> Runs:
        """Return the rows that stand at these places among those meant."""
        cut, before = [], 0
        for first, end in self.spans:
            low, high = max(first, first + start - before), min(end, first + stop - before)
            if low < high:
                cut.append((low, high))
            before += end - first
        return Runs(tuple(cut))

    def batches(self, n_rows: int) -> Iterator[Runs]:
        """Yield the rows ``n_rows`` at a time."""
        for start in range(0, len(self), n_rows):
            yield self.cut(start, start + n_rows)


def rows_of(key: slice, n_rows: int, name: str) -> tuple[int, int]:
    """Return the first row and the end that a slice of rows takes; ``name`` is what is sliced."""
    if any(isinstance(edge, float) for edge in (key.start, key.stop)):
        raise TypeError(f"slices of {name} are row numbers; by time in s it is .between(start_s, stop_s)")
    if key.step not in {None, 1}:
        raise ValueError(f"slices of {name} take every row; of .numpy() any step can be taken")
    start, stop, _ = key.indices(n_rows)
    return start, max(start, stop)
