"""Counts what happens in a session while it runs, for progress and summary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from wetloop.core.types import Outcome, SpikeBatch, Tick
    from wetloop.recording.log import DecisionLog

LONG_RALLY = 3
"""DishBrain calls a rally of more than three hits long."""
PROGRESS_EVERY = 32


class Tally:
    """Counts, and passes every decision on.

    A rally ends with a miss or the end of an episode; its length is the number of hits in it. One that still runs when
    the session ends counts if it has a hit, else long rallies would be lost more often than short ones.
    """

    def __init__(self, log: DecisionLog, late_us: float, on_progress: Callable[[Tally], None]) -> None:
        self._log, self._late_us, self._on_progress = log, late_us, on_progress
        self.events: Counter[str] = Counter()
        self.decisions = self.late_decisions = self.spikes = self.first_sample = self.stop_sample = 0
        self.episodes, self.reward = 0, 0.0
        self._lengths: list[int] = []
        self._hits = 0

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Count one decision."""
        self._log.decision(tick, batch, action, outcome, serial)
        if not self.decisions:
            self.first_sample = tick.start_sample
        self.decisions += 1
        self.spikes += len(batch.spikes)
        self.stop_sample = tick.stop_sample
        self.late_decisions += tick.lateness_us > self._late_us
        self.reward += outcome.reward
        self.episodes += outcome.terminated or outcome.truncated
        if outcome.events or outcome.terminated or outcome.truncated:
            self._score(outcome)
        if not tick.decision_index % PROGRESS_EVERY:
            self._on_progress(self)

    def _score(self, outcome: Outcome) -> None:
        self.events.update(outcome.events)
        self._hits += outcome.events.count("hit")
        if outcome.terminated or outcome.truncated or "miss" in outcome.events:
            self._lengths.append(self._hits)
            self._hits = 0

    @property
    def rally_lengths(self) -> list[int]:
        """Hits of each rally, the running one included if it has any."""
        return [*self._lengths, self._hits] if self._hits else list(self._lengths)
