"""How people steer a real-time session: orders in its shared memory, obeyed between decisions and recorded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wetloop.engine.live import control_word, set_control_word
from wetloop.engine.words import EMERGENCY, EMERGENCY_NOTE, OBEYED, ORDER_NOTE, ORDERED, text_bytes
from wetloop.kernels.records import DISARMED, PAUSED, RUNNING, STATES, TRIPPED

if TYPE_CHECKING:
    import threading

    from wetloop.core.clock import Pace
    from wetloop.engine.engine import EnginePort
    from wetloop.engine.live import Shared


@dataclass(frozen=True)
class Transition:
    """A change of state: who wanted it and why, when on the rig's clock and on the host's (ISO 8601, UTC)."""

    state: str
    who: str
    why: str
    sample_index: int
    at: str


def give_order(shared: Shared, state: int, who: str, why: str) -> int:
    """Ask a session for a state (PAUSED, RUNNING, or DISARMED to end it); return the number of the order.

    One process at a time gives orders: the session's server. A newer order replaces one that is not obeyed yet.
    """
    number = control_word(shared.control, ORDERED) + 1
    shared.notes[ORDER_NOTE] = (state, text_bytes(who, "who"), text_bytes(why, "why"))
    set_control_word(shared.control, ORDERED, number)
    return number


class Steering:
    """A pace that obeys orders, from the first decision on, through the engine's recorded stream of commands.

    Parameters
    ----------
    shared
        Where orders arrive.
    engine
        Takes the commands.
    stop
        Is set when the session is to end.
    pace
        The session's own.

    Attributes
    ----------
    transitions
        Every change of state so far.
    stopped
        Whether a person has ended the session.
    """

    def __init__(self, shared: Shared, engine: EnginePort, stop: threading.Event, pace: Pace) -> None:
        self._control, self._notes = shared.control, shared.notes
        self._engine, self._stop, self._pace = engine, stop, pace
        self._opening: tuple[str, str] | None = ("session", "start")
        self.transitions: list[Transition] = []
        self.stopped = False

    def open_as(self, who: str, why: str) -> None:
        """Say who starts the session, and why."""
        self._opening = (who, why)

    def wait(self, sample: int) -> float:
        """Wait as the pace does, then obey."""
        lateness_us = self._pace.wait(sample)
        if self._opening is not None:
            self._note(RUNNING, *self._opening, sample)
            self._opening = None
        elif not self.stopped:
            self._heed(sample)
        return lateness_us

    def close(self, ended: str, sample: int) -> None:
        """Note the end of the session."""
        if ended == "tripped":
            self._note(TRIPPED, "guard", "a limit of the guard or of overruns", sample)
        elif not self.stopped:
            self._note(DISARMED, "session", ended, sample)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the transitions as plain data."""
        return [asdict(transition) for transition in self.transitions]

    def _heed(self, sample: int) -> None:
        if control_word(self._control, EMERGENCY):
            self._end(EMERGENCY_NOTE, sample)
        elif control_word(self._control, ORDERED) != control_word(self._control, OBEYED):
            self._obey(sample)

    def _obey(self, sample: int) -> None:
        number, state = control_word(self._control, ORDERED), int(self._notes[ORDER_NOTE]["state"])
        if state == DISARMED:
            self._end(ORDER_NOTE, sample)
        elif state in {PAUSED, RUNNING}:
            self._engine.change_state(state, hold=state == PAUSED)
            self._note(state, *self._author(ORDER_NOTE), sample)
        set_control_word(self._control, OBEYED, number)

    def _end(self, row: int, sample: int) -> None:
        self.stopped = True
        self._stop.set()
        self._note(DISARMED, *self._author(row), sample)

    def _author(self, row: int) -> tuple[str, str]:
        note = self._notes[row]
        return note["who"].decode(errors="replace"), note["why"].decode(errors="replace")

    def _note(self, state: int, who: str, why: str, sample: int) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.transitions.append(Transition(STATES[state], who, why, sample, now))
