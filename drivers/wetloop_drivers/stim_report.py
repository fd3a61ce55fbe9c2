"""When pulses really happened, where a rig tells it, against what was asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

LONGEST_S = 0.2
"""A pulse that is later than this is another one."""
EARLIEST_S = 0.05


class StimReport(NamedTuple):
    """What became of the triggers.

    Attributes
    ----------
    triggered, seen, unseen, unasked
        Pulses that were triggered, of which the rig told, of which it did not tell in time, and those that it told
        without a trigger; a pulse on eight electrodes counts eight.
    delay_ms_median, delay_ms_max
        From the sample that was asked for to the first sample of the pulse, ms; NaN where none was seen. If the median
        is not near 0, change the driver's ``trigger_latency_ms``, where it has one, by it.
    """

    triggered: int
    seen: int
    unseen: int
    unasked: int
    delay_ms_median: float
    delay_ms_max: float


class StimAccount:
    """Compares triggers with what the rig tells; ``note`` may be called from another thread than ``see``.

    Parameters
    ----------
    channels
        Those that are stimulated.
    channels_of_pattern
        Channels that each pattern stimulates.
    """

    def __init__(
        self, channels: Iterable[int], channels_of_pattern: Sequence[tuple[int, ...]], sampling_frequency: float
    ) -> None:
        self._patterns, self._fs = tuple(channels_of_pattern), sampling_frequency
        self._asked: dict[int, deque[int]] = {channel: deque() for channel in channels}
        self._delays: list[int] = []
        self._triggered = self._unseen = self._unasked = 0

    def note(self, pattern: int, at_sample: int) -> None:
        """Take note of a trigger."""
        for channel in self._patterns[pattern]:
            self._triggered += 1
            self._asked[channel].append(at_sample)

    def see(self, channel: int, onset: int) -> None:
        """Take in the first sample of a pulse."""
        asked = self._asked.get(channel, deque[int]())
        while asked and asked[0] < onset - LONGEST_S * self._fs:
            asked.popleft()
            self._unseen += 1
        if asked and asked[0] <= onset + EARLIEST_S * self._fs:
            self._delays.append(onset - asked.popleft())
        else:
            self._unasked += 1

    def report(self) -> StimReport:
        """Return the account so far."""
        delays_ms: npt.NDArray[np.float64] = np.array(self._delays, np.float64) / self._fs * 1000
        seen = len(delays_ms)
        median, worst = (float(np.median(delays_ms)), float(delays_ms.max())) if seen else (np.nan, np.nan)
        return StimReport(self._triggered, seen, self._unseen, self._unasked, median, worst)
