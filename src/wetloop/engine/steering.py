"""How people steer a real-time session: orders in its shared memory, obeyed between decisions and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.engine.live import control_word, set_control_word
from wetloop.engine.words import EMERGENCY, EMERGENCY_NOTE, OBEYED, ORDER_NOTE, ORDERED, text_bytes
from wetloop.kernels.records import DISARMED, PAUSED, RUNNING

if TYPE_CHECKING:
    from wetloop.core.clock import Pace
    from wetloop.engine.brake import Brake
    from wetloop.engine.live import Shared


def give_order(shared: Shared, state: int, who: str, why: str) -> int:
    """Ask a session for a state (PAUSED, RUNNING, or DISARMED to end it); return the number of the order.

    One process at a time gives orders: the session's server. A newer order replaces one that is not obeyed yet.
    """
    number = control_word(shared.control, ORDERED) + 1
    shared.notes[ORDER_NOTE] = (state, text_bytes(who, "who"), text_bytes(why, "why"))
    set_control_word(shared.control, ORDERED, number)
    return number


class Steering:
    """A pace that obeys orders, from the first decision on.

    Parameters
    ----------
    shared
        Where orders arrive.
    brake
        Acts on the session.
    pace
        The session's own.
    """

    def __init__(self, shared: Shared, brake: Brake, pace: Pace) -> None:
        self._control, self._notes = shared.control, shared.notes
        self._brake, self._pace = brake, pace
        self._opening: tuple[str, str] | None = ("session", "start")

    def open_as(self, who: str, why: str) -> None:
        """Say who starts the session, and why."""
        self._opening = (who, why)

    def wait(self, sample: int) -> float:
        """Wait as the pace does, then obey."""
        lateness_us = self._pace.wait(sample)
        if self._opening is not None:
            self._brake.transitions.note(RUNNING, *self._opening, sample)
            self._opening = None
        else:
            self.heed(sample)
        return lateness_us

    def heed(self, sample: int) -> None:
        """Obey what was ordered since the last call, unless the session ends already."""
        if self._brake.stopped:
            return
        if control_word(self._control, EMERGENCY):
            self._brake.end(*self._author(EMERGENCY_NOTE), sample)
        elif control_word(self._control, ORDERED) != control_word(self._control, OBEYED):
            self._obey(sample)

    def _obey(self, sample: int) -> None:
        number, state = control_word(self._control, ORDERED), int(self._notes[ORDER_NOTE]["state"])
        who, why = self._author(ORDER_NOTE)
        if state == DISARMED:
            self._brake.end(who, why, sample)
        elif state == PAUSED:
            self._brake.hold(who, why, sample)
        elif state == RUNNING:
            self._brake.clear(who, why, sample)
        set_control_word(self._control, OBEYED, number)

    def _author(self, row: int) -> tuple[str, str]:
        note = self._notes[row]
        return note["who"].decode(errors="replace"), note["why"].decode(errors="replace")
