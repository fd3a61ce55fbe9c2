"""How far long work on a file has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Meter:
    """How much of a file has been read, told as a share of its bytes."""

    def __init__(self, n_bytes: int, report: Callable[[float], None] | None) -> None:
        self._n_bytes, self._report, self._read = n_bytes, report, 0

    def add(self, n_bytes: int) -> None:
        """Count what was read."""
        self._read += n_bytes
        if self._report:
            self._report(min(1.0, self._read / max(1, self._n_bytes)))

    def begun_anew(self) -> Meter:
        """Return a meter of the same file, of which nothing has been read."""
        return Meter(self._n_bytes, self._report)


def part_of(report: Callable[[float], None] | None, first: float, last: float) -> Callable[[float], None] | None:
    """Return what tells the progress of one step of the work, which goes from ``first`` to ``last``."""
    return report and (lambda share: report(first + share * (last - first)))
