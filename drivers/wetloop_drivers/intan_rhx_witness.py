"""When pulses really happened: the STIM words of an RHS controller against what was asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop_drivers.intan_rhx_wire import stim_onsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from wetloop_drivers.intan_rhx_wire import Run

LONGEST_S = 0.2
"""A pulse that is later than this is another one."""
EARLIEST_S = 0.05


class StimReport(NamedTuple):
    """What became of the triggers.

    Attributes
    ----------
    triggered, seen, unseen, unasked
        Pulses that were triggered, of which were seen in the STIM words, of which were not seen in time, and those
        that were seen without a trigger; a pulse on eight electrodes counts eight.
    delay_ms_median, delay_ms_max
        From the sample that was asked for to the first sample of the pulse, ms; NaN where none was seen. If the median
        is not near 0, change the driver's ``trigger_latency_ms`` by it.
    """

    triggered: int
    seen: int
    unseen: int
    unasked: int
    delay_ms_median: float
    delay_ms_max: float


class StimWitness:
    """Compares triggers with STIM words; ``note`` may be called from another thread than ``watch``.

    Parameters
    ----------
    columns
        Column of the STIM words of each stimulated channel.
    channels_of_pattern
        Channels that each pattern stimulates.
    """

    def __init__(
        self, columns: dict[int, int], channels_of_pattern: Sequence[tuple[int, ...]], sampling_frequency: float
    ) -> None:
        self._channels = np.array(sorted(columns), np.intp)
        self._columns = np.array([columns[int(c)] for c in self._channels], np.intp)
        self._patterns, self._fs = tuple(channels_of_pattern), sampling_frequency
        self._asked: dict[int, deque[int]] = {int(c): deque() for c in self._channels}
        self._before = np.zeros(len(self._columns), np.uint16)
        self._delays: list[int] = []
        self._triggered = self._unseen = self._unasked = 0

    def note(self, pattern: int, at_sample: int) -> None:
        """Take note of a trigger."""
        for channel in self._patterns[pattern]:
            self._triggered += 1
            self._asked[channel].append(at_sample)

    def watch(self, run: Run) -> None:
        """Look for pulses."""
        words = run.words[:, self._columns]
        for frame, column in zip(*stim_onsets(words, self._before), strict=True):
            self._match(int(self._channels[column]), run.start_sample + int(frame))
        self._before = words[-1].copy()

    def report(self) -> StimReport:
        """Return the account so far."""
        delays_ms: npt.NDArray[np.float64] = np.array(self._delays, np.float64) / self._fs * 1000
        seen = len(delays_ms)
        median, worst = (float(np.median(delays_ms)), float(delays_ms.max())) if seen else (np.nan, np.nan)
        return StimReport(self._triggered, seen, self._unseen, self._unasked, median, worst)

    def _match(self, channel: int, onset: int) -> None:
        asked = self._asked[channel]
        while asked and asked[0] < onset - LONGEST_S * self._fs:
            asked.popleft()
            self._unseen += 1
        if asked and asked[0] <= onset + EARLIEST_S * self._fs:
            self._delays.append(onset - asked.popleft())
        else:
            self._unasked += 1
