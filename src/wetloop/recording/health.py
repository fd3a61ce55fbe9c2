"""The session's eye on its recorder: how far it is behind, whether it lives, and what follows when it fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from wetloop.core.errors import RecordingError, RigError
from wetloop.engine.alarms import Reading
from wetloop.engine.live import READERS, control_word, now_host_ns
from wetloop.engine.words import POSITION
from wetloop.kernels.rings import RECORDER, store_tail
from wetloop.recording.journal import journal_path
from wetloop.recording.log import raw_shortfall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wetloop.engine.alarms import Alarms
    from wetloop.engine.crew import Crew
    from wetloop.engine.live import Shared

ROLE = "recorder"
LOOK_S = 0.25
FINISH_S, FINISH_MB_S = 300.0, 2.0
"""A recorder is given this time to complete its file, s, and more the larger that is, MB/s."""


class Policy(Protocol):
    """What follows when the recorder fails, and how long it may be silent, s."""

    @property
    def on_failure(self) -> Literal["stop", "continue"]:
        """End the session, or go on without a recording."""

    @property
    def patience_s(self) -> float:
        """Longest silence of a recorder that runs, s."""


class Recorder(NamedTuple):
    """What tells of a recorder, and who is told of its failure."""

    shared: Shared
    crew: Crew
    alarms: Alarms


class RecorderWatch:
    """Watches the recorder's process.

    A recorder that waits for a slow disk is silent too, and the rings hold seconds of data for it: only one that has
    ended, or was silent for longer than the policy's patience, has failed.

    Attributes
    ----------
    failure
        Why there is no recording any more, and what to do; empty while there is.
    """

    def __init__(self, recorder: Recorder, path: Path, sampling_frequency: float, policy: Policy) -> None:
        self._shared, self._crew, self._alarms = recorder
        self._policy, self._sampling_frequency = policy, sampling_frequency
        self._looked_s, self._longest_silence_s = time.monotonic(), 0.0
        self.path = path
        self.failure = ""

    def look(self) -> None:
        """See a few times a second whether the recorder lives.

        Raises
        ------
        RecordingError
            Where it has failed, and the session is to stop for it.
        """
        now_s = time.monotonic()
        if self.failure or now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        reason = self._crew.failure(ROLE) or self._silence()
        if reason:
            self._give_up(reason)
            self._alarms.judge(ROLE, self._policy.on_failure, self._reading(), self._position())
            if self._policy.on_failure == "stop":
                raise RecordingError(self.failure)

    def disk_mb(self) -> tuple[float, float]:
        """Return the free space of the recorder's disk and what is to be left of it, MB."""
        health = self._shared.health[0]
        return int(health["free_bytes"]) / 1e6, int(health["needed_bytes"]) / 1e6

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Have the file completed, and wait for it; where the recorder has failed before, nothing can be done."""
        if self.failure:
            return
        try:
            self._crew.send(ROLE, summary)
            self._crew.receive(ROLE, FINISH_S + int(self._shared.health[0]["bytes"]) / 1e6 / FINISH_MB_S)
        except (RigError, OSError) as error:
            self._give_up(str(error))
            raise RecordingError(self.failure) from error

    @property
    def shortfall(self) -> str:
        """What the recording will lack, and why; empty where it lacks nothing."""
        stopped_s = self.facts()["raw_samples_stopped_s"]
        return self.failure or ("" if stopped_s is None else raw_shortfall(stopped_s))

    def facts(self) -> dict[str, Any]:
        """Return how the recorder is doing: what a power cut would cost now (``lag_s``) and what is on the disk."""
        health = self._shared.health[0]
        behind = self._position() - int(health["acknowledged_sample"])
        stopped = int(health["raw_stopped_sample"])
        return {
            "failure": self.failure,
            "backlog_rows": int(health["backlog_rows"]),
            "lag_s": behind / self._sampling_frequency if health["acknowledged_sample"] >= 0 else None,
            "bytes": int(health["bytes"]),
            "longest_silence_s": self._longest_silence_s,
            "raw_samples_stopped_s": stopped / self._sampling_frequency if stopped >= 0 else None,
        }

    def _position(self) -> int:
        return control_word(self._shared.control, POSITION)

    def _silent_s(self) -> float:
        return (now_host_ns() - int(self._shared.health[0]["beat_ns"])) / 1e9

    def _reading(self) -> Reading:
        return Reading(self._silent_s(), self._policy.patience_s, "s of silence", bad=True, meaning=self.failure)

    def _silence(self) -> str:
        """Return for how long nothing was heard, in words, if it was too long."""
        silent_s = self._silent_s()
        self._longest_silence_s = max(self._longest_silence_s, silent_s)
        return f"the recorder was silent for {silent_s:.1f} s" if silent_s > self._policy.patience_s else ""

    def _give_up(self, reason: str) -> None:
        """End the recorder, and let nobody wait for it to read."""
        self._crew.kill(ROLE)
        for name, readers in READERS.items():
            if RECORDER in readers:
                store_tail(self._ring_words(name), RECORDER, -1)
        self.failure = reason
        if journal_path(self.path).exists() and "wetloop recover" not in reason:
            upto_s = int(self._shared.health[0]["acknowledged_sample"]) / self._sampling_frequency
            self.failure += (
                f"; everything up to {upto_s:.1f} s of the rig's clock is on the disk: wetloop recover {self.path}"
            )

    def _ring_words(self, name: str) -> Any:
        shared = self._shared
        return (getattr(shared, name, None) or getattr(shared.rings, name)).words


class DiskWatch:
    """A watchdog of the recording's disk; ``space_mb`` tells what is free and what is to be left, MB.

    What follows is the recorder's own: raw samples end first, then the recording.
    """

    name = "disk"
    policy: Literal["continue"] = "continue"

    def __init__(self, space_mb: Callable[[], tuple[float, float]]) -> None:
        self._space_mb = space_mb

    def look(self, activity: object) -> Reading | None:  # noqa: ARG002  (part of the protocol)
        """Compare the free space with what is to be left."""
        free_mb, needed_mb = self._space_mb()
        said = f"{free_mb:.0f} MB are free on the recording's disk"
        return Reading(free_mb, needed_mb, "MB", free_mb < needed_mb, said)
