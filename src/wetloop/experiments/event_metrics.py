"""Metrics that count what a task told: responses to stimuli, stimuli to a criterion, movements on target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class Events(NamedTuple):
    """The events of some decisions: when each decision ended, the bits of what was told, and what the bits mean."""

    stop_sample: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint32]
    names: tuple[str, ...]

    def between(self, start_sample: int, stop_sample: int) -> Events:
        """Return those of the decisions that ended after the start and no later than the stop."""
        first, last = np.searchsorted(self.stop_sample, (start_sample, stop_sample), side="right")
        return Events(self.stop_sample[first:last], self.bits[first:last], self.names)

    def happened(self, name: str) -> npt.NDArray[np.bool_]:
        """Return in which decisions it was told, shape (n_decisions,)."""
        bit = 1 << self.names.index(name) if name in self.names else 0
        happened: npt.NDArray[np.bool_] = (self.bits & np.uint32(bit)) != 0
        return happened


def percent(part: str, whole: str, events: Events) -> float | None:
    """Return how often one event was told, as a percentage of another."""
    n = int(events.happened(whole).sum())
    return 100.0 * float(events.happened(part).sum()) / n if n else None


def percent_of_cycles(name: str, lived: Sequence[Events]) -> float | None:
    """Return the percentage of cycles in which it was told; a cycle is an episode with a stimulus."""
    told = [bool(events.happened(name).any()) for events in lived if events.happened("stimulus").any()]
    return 100.0 * sum(told) / len(told) if told else None


def stimuli_to_criterion(lived: Sequence[Events]) -> float | None:
    """Return the mean number of stimuli of a cycle until the criterion was met; all of them where it was not.

    Where stimulation was removed before that, as yoked removal may, the number is a lower bound.
    """
    found = [_to_criterion(events) for events in lived if events.happened("stimulus").any()]
    return float(np.mean(found)) if found else None


def _to_criterion(events: Events) -> int:
    stimuli, met = np.add.accumulate(events.happened("stimulus")), np.flatnonzero(events.happened("criterion"))
    return int(stimuli[met[0]] if len(met) else stimuli[-1])
