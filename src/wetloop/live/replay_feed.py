"""A recording as if it ran now: at any speed, from any moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.live.facts import Facts
from wetloop.live.feed import Batch, Health, Shot
from wetloop.recording import schema
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wetloop.core.types import Records

WINDOW_S = 10.0
"""How far back spikes are told after a jump, s of rig time."""
SLOWEST, FASTEST = 0.05, 64.0
LONGEST_STEP_S = 0.25
"""A playhead that was not looked after for longer stood still, s of host time."""


class ReplayFeed:
    """A recording with a playhead; ``clock`` gives host time in s.

    Attributes
    ----------
    speed
        Rig time per host time.
    paused
        Whether the playhead stands still.
    """

    arena_name = ""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._recording = Recording(path)
        self.facts = Facts.of_recording(self._recording)
        self._spikes = _ordered(self._recording.spikes(), "sample_index")
        self._pulses = _ordered(self._recording.pulses(), "sample_index")
        self._blocks, self._decisions = self._recording.blocks(), self._recording.decisions()
        if not len(self._decisions):
            raise RecordingError(f"{path}: no decision was recorded, so there is nothing to show")
        self._alarms = self._recording.alarms()
        self._block_stops = self._blocks["start_sample"] + self._blocks["n_samples"]
        self._pictures = _Pictures(self._recording)
        self._first, self._stop = self._recording.extent()
        self._clock, self._looked_s = clock, clock()
        self._at, self._told, self._anew = float(self._first), self._first, True
        self.speed, self.paused = 1.0, False

    def pause(self, *, paused: bool) -> None:
        """Stop the playhead, or let it go on; at the end, from the beginning."""
        self._move()
        if not paused and self._at >= self._stop:
            self.seek(0.0)
        self.paused = paused

    def seek(self, at_s: float) -> None:
        """Put the playhead there, s after the beginning."""
        self._at = min(float(self._stop), self._first + max(0.0, at_s) * self.facts.sampling_frequency)
        self._looked_s, self._anew = self._clock(), True

    def set_speed(self, speed: float) -> None:
        """Set rig time per host time."""
        self._move()
        self.speed = min(FASTEST, max(SLOWEST, speed))

    def take(self) -> Batch:
        """Move the playhead on, and return what lies before it."""
        self._move()
        now, anew, self._anew = int(self._at), self._anew, False
        told = self._first if anew else self._told
        window = max(told, now - round(WINDOW_S * self.facts.sampling_frequency)) if anew else told
        self._told = now
        return Batch(
            first_sample=self._first,
            now_sample=now,
            spikes=_between(self._spikes, self._spikes["sample_index"], window, now),
            pulses=_between(self._pulses, self._pulses["sample_index"], told, now),
            blocks=_between(self._blocks, self._block_stops, told + 1, now + 1),
            decisions=_between(self._decisions, self._decisions["stop_sample"], told + 1, now + 1),
            shot=self._pictures.before(now, again=anew),
            alarms=_between(self._alarms, self._alarms["sample_index"], told, now),
            anew=anew,
        )

    def _move(self) -> None:
        now_s = self._clock()
        if not self.paused:
            step_s = min(now_s - self._looked_s, LONGEST_STEP_S)
            self._at += step_s * self.speed * self.facts.sampling_frequency
        self._looked_s = now_s
        if self._at >= self._stop:
            self._at, self.paused = float(self._stop), True

    def health(self) -> Health:
        """Return how the session was doing, as far as a recording tells."""
        upto = int(np.searchsorted(self._block_stops, self._told, side="right"))
        state = "at the end" if self._at >= self._stop else "paused" if self.paused else "replay"
        return Health(
            state=state,
            lost_samples=int(self._blocks["lost_samples"][:upto].sum()),
            written_mb=self._recording.path.stat().st_size / 1e6,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._recording.close()


class _Pictures:
    """The recorded pictures of the game, if there are any."""

    def __init__(self, recording: Recording) -> None:
        self._frames, self._samples, self._shown = recording.frames(), recording.frame_samples, -1
        if self._frames is not None:
            width, height = (recording.column(schema.FRAMES, f"source_{side}") for side in ("width", "height"))
            self._proportions = width / height

    def before(self, sample: int, *, again: bool) -> Shot | None:
        """Return the newest picture if it was not returned before."""
        k = int(np.searchsorted(self._samples, sample, side="right")) - 1
        if self._frames is None or k < 0 or (k == self._shown and not again):
            return None
        self._shown = k
        return Shot(self._frames[k], float(self._proportions[k]))


def _ordered(rows: Records, field: str) -> Records:
    return rows[np.argsort(rows[field], kind="stable")]


def _between(rows: Records, keys: np.ndarray[tuple[int], np.dtype[np.int64]], start: int, stop: int) -> Records:
    """Return the rows whose key lies in the half-open window; keys are in order."""
    first, last = np.searchsorted(keys, (start, stop))
    return rows[first:last]
