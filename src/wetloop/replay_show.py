"""A replay for the eye: at a pace, from where one wants to see it, with a word now and then on how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wetloop.core.clock import WallPace
from wetloop.session import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from wetloop.core.types import Outcome, SpikeBatch, Tick
    from wetloop.recording.comparison import Section
    from wetloop.recording.log import DecisionLog
    from wetloop.recording.tally import Tally


class Show(NamedTuple):
    """Rig time per wall time, and who is told now and then how it goes."""

    speed: float
    report: Callable[[Progress], None] | None


class PartPace:
    """As fast as it goes up to a sample, then by the wall clock."""

    def __init__(self, start_sample: int, samples_per_s: float) -> None:
        self._start, self._pace = start_sample, WallPace(samples_per_s)

    def wait(self, sample: int) -> float:
        """Wait until ``sample`` is due; return how late that was, us."""
        return self._pace.wait(sample) if sample > self._start else 0.0


class PartLog:
    """Hands decisions to one log before a sample, and to another one from there on."""

    def __init__(self, start_sample: int, before: DecisionLog, inside: DecisionLog) -> None:
        self._start, self._before, self._inside = start_sample, before, inside

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Hand over one decision."""
        log = self._before if tick.start_sample < self._start else self._inside
        log.decision(tick, batch, action, outcome, serial)


def teller(section: Section, rate: float, show: Show | None) -> Callable[[Tally], None]:
    """Return what tells a show how it goes: events and rallies so far, spikes per s since it was last told."""
    told_spikes, told_sample = 0, section.start_sample
    if show is not None and show.report is not None and section.decisions.start:
        show.report(Progress(0.0, 0.0, {}, 0, "replaying what comes before the part"))

    def report(tally: Tally) -> None:
        nonlocal told_spikes, told_sample
        if show is None or show.report is None:
            return
        spikes_hz = (tally.spikes - told_spikes) * rate / (tally.stop_sample - told_sample)
        told_spikes, told_sample = tally.spikes, tally.stop_sample
        done_s, whole_s = ((stop - section.start_sample) / rate for stop in (tally.stop_sample, section.stop_sample))
        counts = {**tally.events, "rallies": len(tally.rally_lengths), "spikes/s": round(spikes_hz)}
        show.report(Progress(done_s, whole_s, counts, 0))

    return report
