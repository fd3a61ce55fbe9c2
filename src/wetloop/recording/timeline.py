"""Finds the rows of a table that lie between two moments, without reading its columns whole."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetloop.recording.runs import Runs

if TYPE_CHECKING:
    from wetloop.recording.fields import Field

ROWS_AT_ONCE = 1 << 16
ROUNDING_SAMPLES = 1e-6
"""Times that miss a sample by less than this are that sample: 0.1 s at 25 kHz is sample 2500, not the next."""
FAR = 1 << 62


@dataclass(frozen=True)
class Timeline:
    """How the rows of a table lie in time.

    Attributes
    ----------
    n_rows
        Rows in the file.
    sampling_frequency
        Of the rig's clock, Hz.
    moment
        Column of samples by which rows are chosen.
    order
        Column of samples in which the rows are ordered: never before ``moment`` and less than ``most_behind``
        samples behind it. None where the rows are in no order.
    most_behind
        0 where ``order`` is ``moment`` itself.
    """

    n_rows: int
    sampling_frequency: float
    moment: Field
    order: Field | None
    most_behind: int = 0

    def between(self, start_s: float, stop_s: float) -> Runs:
        """Return the rows whose moment lies in the half-open window, s on the rig's clock."""
        start, stop = (sample_at(at_s, self.sampling_frequency) for at_s in (start_s, stop_s))
        if self.order is None:
            return self._scanned(0, self.n_rows, start, stop)
        edges = (start, start + self.most_behind, stop, stop + self.most_behind)
        first, surely_from, surely_to, last = (_first_from(self.order, sample, self.n_rows) for sample in edges)
        if surely_from >= surely_to:
            return self._scanned(first, last, start, stop)
        before = self._scanned(first, surely_from, start, stop)
        return before + Runs.of(surely_from, surely_to) + self._scanned(surely_to, last, start, stop)

    def _scanned(self, first: int, last: int, start: int, stop: int) -> Runs:
        """Return which of these rows lie between two samples, by reading when each was."""
        found = Runs()
        for row in range(first, last, ROWS_AT_ONCE):
            samples = self.moment.read(row, min(last, row + ROWS_AT_ONCE))
            found += Runs.where((samples >= start) & (samples < stop), row)
        return found


def sample_at(at_s: float, sampling_frequency: float) -> int:
    """Return the first sample that is not before a time on the rig's clock, s; infinite times are far away."""
    sample = at_s * sampling_frequency
    return math.ceil(max(-FAR, min(FAR, sample)) - ROUNDING_SAMPLES)


def _first_from(order: Field, sample: int, n_rows: int) -> int:
    """Return the first row that is not before the sample."""
    return bisect_left(range(n_rows), sample, key=lambda row: order.read(row, row + 1)[0])
