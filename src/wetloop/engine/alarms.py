"""Alarms of a session: noted for the recording, logged, told to whoever is to know, and acted upon by their policy."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.engine.alarm_rows import ALARM, HELD, Alarm
from wetloop.engine.transitions import host_time
from wetloop.kernels.rings import RECORDER, new_ring, put

if TYPE_CHECKING:
    from wetloop.engine.brake import Brake
    from wetloop.engine.notify import Notifier
    from wetloop.engine.watch_config import Policy
    from wetloop.kernels.rings import Ring

LOG = logging.getLogger("wetloop.session")
MOST_KEPT = 1000
"""Alarms kept for the summary; all are recorded and logged."""


class Reading(NamedTuple):
    """What a watchdog sees: a value, its limit and their unit, whether it is an alarm, and what that means."""

    value: float
    limit: float
    unit: str
    bad: bool
    meaning: str


class Alarms:
    """Raises alarms and ends them.

    Parameters
    ----------
    brake
        Acts on the session.
    notifier
        Tells others.
    ring
        Of ``ALARM``, for the recorder and for observers; by default in ordinary memory.

    Attributes
    ----------
    left_out
        Alarms that were not kept, since there were too many.
    """

    def __init__(self, brake: Brake, notifier: Notifier, ring: Ring | None = None) -> None:
        self._brake, self._notifier = brake, notifier
        self.ring = new_ring(ALARM, HELD, RECORDER) if ring is None else ring
        self._kept: list[Alarm] = []
        self._active: set[str] = set()
        self.left_out = 0

    def judge(self, watch: str, policy: Policy, reading: Reading, sample: int) -> None:
        """Take a reading; an alarm is raised when it turns bad, and over when it is good again."""
        if reading.bad and watch not in self._active:
            self._active.add(watch)
            self._note(Alarm(watch, "raised", sample, host_time(), *reading[:3], policy, reading.meaning))
            self._act(f"watch: {watch}", policy, reading.meaning, sample)
        elif not reading.bad and watch in self._active:
            self._active.remove(watch)
            self._note(Alarm(watch, "over", sample, host_time(), *reading[:3], policy, reading.meaning))
            self._brake.release(f"watch: {watch}", "over", sample)

    def failed(self, message: str) -> None:
        """Tell that the session has failed."""
        LOG.error("failed", extra={"error": message})
        self._notifier.tell("failed", {"at": host_time(), "message": message})

    def to_list(self) -> list[dict[str, Any]]:
        """Return the alarms as plain data."""
        return [asdict(alarm) for alarm in self._kept]

    def _note(self, alarm: Alarm) -> None:
        if len(self._kept) < MOST_KEPT:
            self._kept.append(alarm)
        else:
            self.left_out += 1
        put(self.ring, alarm.row())
        told = asdict(alarm)
        LOG.warning("alarm", extra=told)
        self._notifier.tell(f"{alarm.watch} {alarm.state}", told)

    def _act(self, who: str, policy: Policy, why: str, sample: int) -> None:
        if policy == "pause":
            self._brake.hold(who, why, sample)
        elif policy == "trip":
            self._brake.trip(who, why, sample)
        elif policy == "stop":
            self._brake.end(who, why, sample)
