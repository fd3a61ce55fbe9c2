"""What may slow, trip or end a session: people and watchdogs, all through the engine's recorded stream of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.kernels.records import DISARMED, PAUSED, RUNNING, TRIPPED

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from wetloop.engine.engine import EnginePort
    from wetloop.engine.transitions import Transitions


class Brake:
    """Pauses while anybody wants it, until all have let go or a person resumes; trips once; ends once.

    Parameters
    ----------
    engine
        Takes the commands.
    transitions
        Where each change is noted.
    stop
        Is set when the session is to end.
    end_on_trip
        End a session that has tripped; else it goes on recording.
    tell
        Is told that the session has tripped, by whom and why.

    Attributes
    ----------
    tripped
        Whether the guard has tripped or was tripped: nothing is stimulated any more.
    stopped
        Whether a person or a watchdog has ended the session.
    """

    def __init__(
        self,
        engine: EnginePort,
        transitions: Transitions,
        stop: threading.Event,
        *,
        end_on_trip: bool,
        tell: Callable[[str, str], None],
    ) -> None:
        self._engine, self.transitions, self._stop = engine, transitions, stop
        self._end_on_trip, self._tell = end_on_trip, tell
        self._held_by: dict[str, bool] = {}
        self.tripped = self.stopped = False

    @property
    def ending(self) -> bool:
        """Whether the session is to end, whoever wanted it."""
        return self._stop.is_set()

    def look(self, sample: int) -> None:
        """See whether the guard has tripped of itself."""
        if not self.tripped and self._engine.guard_state == "tripped":
            self.trip("guard", "too many pulses refused within a second", sample)

    def hold(self, who: str, why: str, sample: int, *, task: bool = True) -> None:
        """Stimulate nothing on behalf of ``who``, and by default hold the task."""
        if not self.tripped:
            self._held_by[who] = task
            self._engine.change_state(PAUSED, hold=any(self._held_by.values()))
            self.transitions.note(PAUSED, who, why, sample)

    def release(self, who: str, why: str, sample: int) -> None:
        """Withdraw what ``who`` wanted; the session runs when nobody else wants it held."""
        if self._held_by.pop(who, None) is None or self.tripped:
            return
        if self._held_by:
            self._engine.change_state(PAUSED, hold=any(self._held_by.values()))
        else:
            self._run(who, why, sample)

    def clear(self, who: str, why: str, sample: int) -> None:
        """Let the session run, whoever held it: a person wants it."""
        self._held_by.clear()
        if not self.tripped:
            self._run(who, why, sample)

    def trip(self, who: str, why: str, sample: int) -> None:
        """Stimulate nothing any more and hold the task, to the session's end; the command tells replays when."""
        if self.tripped:
            return
        self.tripped = True
        self._engine.change_state(TRIPPED, hold=True)
        self.transitions.note(TRIPPED, who, why, sample)
        self._tell(who, why)
        if self._end_on_trip:
            self._stop.set()

    def end(self, who: str, why: str, sample: int) -> None:
        """End the session."""
        self.stopped = True
        self._stop.set()
        self.transitions.note(DISARMED, who, why, sample)

    def close(self, ended: str, sample: int) -> None:
        """Note the end of a session that nobody has ended; one of which nothing was noted needs no end."""
        if not self.stopped and len(self.transitions):
            self.transitions.note(DISARMED, "session", ended, sample)

    def _run(self, who: str, why: str, sample: int) -> None:
        self._engine.change_state(RUNNING)
        self.transitions.note(RUNNING, who, why, sample)
