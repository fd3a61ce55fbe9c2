"""Raw samples of a recording, read where they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core.extras import from_extra
from wetloop.recording import schema
from wetloop.recording.derive import Coverage
from wetloop.recording.runs import rows_of
from wetloop.recording.timeline import ROWS_AT_ONCE, sample_at

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.types import Samples
    from wetloop.recording.reader import Recording


@dataclass(frozen=True)
class SampleClock:
    """Which sample of the rig's clock each row of raw samples is: rows run on where samples were lost.

    Attributes
    ----------
    spans
        First sample and end of each span without a gap, shape (n_spans, 2).
    """

    spans: npt.NDArray[np.int64]

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """Row at which each span starts, and the end of the last, shape (n_spans + 1,)."""
        return np.append(0, np.cumsum(self.spans[:, 1] - self.spans[:, 0]))

    def row_from(self, sample: int) -> int:
        """Return the first row that is not before the sample."""
        k = int(np.searchsorted(self.spans[:, 1], sample, "right"))
        if k == len(self.spans):
            return int(self.first_rows[-1])
        return int(self.first_rows[k]) + max(0, sample - int(self.spans[k, 0]))

    @property
    def n_rows(self) -> int:
        """Rows that there are if none is missing."""
        return int(self.first_rows[-1])

    def sample_of(self, row: int) -> int:
        """Return the sample of one row; of one beyond the last, the end."""
        if not len(self.spans):
            return row
        if row >= self.n_rows:
            return int(self.spans[-1, 1])
        return int(self.samples_of(row, row + 1)[0])

    def samples_of(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return the sample of each row from ``start`` to before ``stop``, shape (n_rows,)."""
        rows = np.arange(start, stop)
        k = np.searchsorted(self.first_rows, rows, "right") - 1
        samples: npt.NDArray[np.int64] = self.spans[k, 0] + rows - self.first_rows[k]
        return samples


class SampleView:
    """Raw samples as the rig delivered them, unread: int16 of shape (n_samples, n_channels).

    ``view[0:25000]`` are rows by number, ``view.between(10, 20)`` by time in s; both are views again. Empty where no
    samples were recorded.
    """

    def __init__(self, recording: Recording, start: int = 0, stop: int | None = None) -> None:
        stored = recording.samples
        self._recording, self._start = recording, start
        self._stop = (0 if stored is None else len(stored)) if stop is None else stop

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples, and of channels."""
        return len(self), self._recording.info.n_channels

    @property
    def dtype(self) -> np.dtype[np.int16]:
        """Type of a sample."""
        return np.dtype(np.int16)

    @property
    def gain_uv(self) -> npt.NDArray[np.float32]:
        """Microvolts per bit, shape (n_channels,); NaN for channels that cannot be used."""
        return self._recording.info.gain_uv

    @property
    def sample_index(self) -> npt.NDArray[np.int64]:
        """Sample on the rig's clock of each row, shape (n_samples,); it jumps where samples were lost."""
        return self._clock.samples_of(self._start, self._stop)

    @property
    def time_s(self) -> npt.NDArray[np.float64]:
        """Time of each row on the rig's clock, s, shape (n_samples,)."""
        return self.sample_index / self._recording.info.sampling_frequency

    def between(self, start_s: float = -math.inf, stop_s: float = math.inf) -> SampleView:
        """Return the rows of the half-open window from ``start_s`` to before ``stop_s`` on the rig's clock, s."""
        rate_hz = self._recording.info.sampling_frequency
        start, stop = (self._clock.row_from(sample_at(at_s, rate_hz)) for at_s in (start_s, stop_s))
        first = min(max(start, self._start), self._stop)
        return self._like(first, max(first, min(stop, self._stop)))

    def numpy(self) -> Samples:
        """Return the samples in bits, int16 of shape (n_samples, n_channels)."""
        if not len(self):
            return np.zeros(self.shape, np.int16)
        return self._recording.values(f"{schema.RAW}/data", self._start, self._stop)

    def microvolts(self) -> npt.NDArray[np.float32]:
        """Return the samples in uV, float32 of shape (n_samples, n_channels)."""
        return self.numpy() * self.gain_uv

    def pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` in uV, a column per channel, by ``time_s``. Needs ``wetloop[tables]``."""
        pandas = from_extra("pandas", "tables")
        frame = pandas.DataFrame(self.microvolts(), index=pandas.Index(self.time_s, name="time_s"))
        frame.attrs["units"] = dict.fromkeys(frame.columns, "uV") | {"time_s": "s"}
        return frame

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, key: slice) -> SampleView:
        if not isinstance(key, slice):
            raise TypeError("samples are taken by slices of row numbers; of .numpy() single ones can be taken")
        start, stop = rows_of(key, len(self), "samples")
        return self._like(self._start + start, self._start + stop)

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.numpy(), dtype, copy=copy)

    def __repr__(self) -> str:
        rate_hz = self._recording.info.sampling_frequency
        n_samples, n_channels = self.shape
        return f"samples: {n_samples} rows of {n_channels} channels at {rate_hz:g} Hz, int16, unread; uV: .microvolts()"

    @cached_property
    def _clock(self) -> SampleClock:
        return SampleClock(_spans(self._recording))

    def _like(self, start: int, stop: int) -> SampleView:
        return SampleView(self._recording, start, stop)


def _spans(recording: Recording) -> npt.NDArray[np.int64]:
    """Return the spans without lost samples; the table of blocks is read only where there may be more than one."""
    start, stop = recording.extent()
    stored = recording.samples
    if stored is not None and len(stored) == stop - start:
        return np.array([[start, stop]])
    coverage, n_blocks = Coverage(), recording.n_rows(schema.BLOCKS)
    for row in range(0, n_blocks, ROWS_AT_ONCE):
        starts, counts = (
            recording.values(f"{schema.BLOCKS.path}/{name}", row, row + ROWS_AT_ONCE)
            for name in ("start_sample", "n_samples")
        )
        coverage.add(starts, starts + counts)
    return coverage.spans
