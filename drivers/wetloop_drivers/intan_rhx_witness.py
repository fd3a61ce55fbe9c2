"""When pulses really happened: the STIM words of an RHS controller against what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop_drivers.intan_rhx_wire import stim_onsets
from wetloop_drivers.stim_report import StimAccount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop_drivers.intan_rhx_wire import Run


class StimWitness(StimAccount):
    """Finds pulses in STIM words.

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
        super().__init__(columns, channels_of_pattern, sampling_frequency)
        self._channels = np.array(sorted(columns), np.intp)
        self._columns = np.array([columns[int(c)] for c in self._channels], np.intp)
        self._before = np.zeros(len(self._columns), np.uint16)

    def watch(self, run: Run) -> None:
        """Look for pulses."""
        words = run.words[:, self._columns]
        for frame, column in zip(*stim_onsets(words, self._before), strict=True):
            self.see(int(self._channels[column]), run.start_sample + int(frame))
        self._before = words[-1].copy()
