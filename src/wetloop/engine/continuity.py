"""Makes one gapless account of what a rig delivers: repeated samples are left out, missing ones are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wetloop.core.types import Block


class Continuity:
    """Follows the sample index from block to block.

    Attributes
    ----------
    repeated_samples
        Samples that came again and were left out.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self.repeated_samples = 0

    def check(self, block: Block) -> Block | None:
        """Return the part of a block that is new, with the samples lost before it; None if nothing is."""
        start, n, samples, spikes, lost = block
        if self._next is None or start == self._next:
            self._next = start + n
            return block
        ahead = start - self._next
        if ahead > 0:
            self._next = start + n
            return block._replace(lost_samples=max(lost, ahead))
        self.repeated_samples += min(n, -ahead)
        if -ahead >= n:
            return None
        self._next = start + n
        first = int(np.searchsorted(spikes["known_sample"], start - ahead))
        return block._replace(
            start_sample=start - ahead, n_samples=n + ahead, samples=samples[-ahead:], spikes=spikes[first:]
        )
