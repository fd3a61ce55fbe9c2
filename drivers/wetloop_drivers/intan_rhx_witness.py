"""When pulses really happened: the STIM words of an RHS controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.rig_pulses import SEEN, seen_rows
from wetloop_drivers.intan_rhx_wire import stim_onsets

if TYPE_CHECKING:
    from wetloop.core.types import Records
    from wetloop_drivers.intan_rhx_wire import Run


class StimWitness:
    """Finds pulses in STIM words.

    Parameters
    ----------
    columns
        Column of the STIM words of each stimulated channel.
    """

    def __init__(self, columns: dict[int, int]) -> None:
        self._seen: list[Records] = []
        self._channels = np.array(sorted(columns), np.intp)
        self._columns = np.array([columns[int(c)] for c in self._channels], np.intp)
        self._before = np.zeros(len(self._columns), np.uint16)

    def watch(self, run: Run) -> None:
        """Look for pulses."""
        words = run.words[:, self._columns]
        frames, columns = stim_onsets(words, self._before)
        if len(frames):
            self._seen.append(seen_rows(run.start_sample + frames, self._channels[columns]))
        self._before = words[-1].copy()

    def take(self) -> Records:
        """Return what was found since the last call, dtype SEEN."""
        seen, self._seen = self._seen, []
        return np.concatenate(seen) if seen else np.zeros(0, SEEN)
