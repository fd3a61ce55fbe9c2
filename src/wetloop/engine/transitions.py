"""Changes of a session's state: who wanted which why and when, kept for the recording, logged and shown."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wetloop.engine.live import set_control_word
from wetloop.engine.words import NOTED, STATE_NOTE, text_bytes
from wetloop.kernels.records import STATES

if TYPE_CHECKING:
    from wetloop.engine.live import Shared

LOG = logging.getLogger("wetloop.session")
LOG.addHandler(logging.NullHandler())


def host_time() -> str:
    """Return the host's time as ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Transition:
    """A change of state: who wanted it and why, when on the rig's clock and on the host's (ISO 8601, UTC)."""

    state: str
    who: str
    why: str
    sample_index: int
    at: str


class Transitions:
    """Notes changes of state.

    Parameters
    ----------
    shared
        Of a real-time session, whose observers find the newest change there.
    """

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared
        self._noted: list[Transition] = []

    def __len__(self) -> int:
        """Return how many there were."""
        return len(self._noted)

    def note(self, state: int, who: str, why: str, sample: int) -> None:
        """Note a change to a state of ``records.STATES``."""
        transition = Transition(STATES[state], who, why, sample, host_time())
        self._noted.append(transition)
        LOG.info("transition", extra=asdict(transition))
        if self._shared is not None:
            self._shared.notes[STATE_NOTE] = (state, text_bytes(who, "who"), text_bytes(why, "why"))
            set_control_word(self._shared.control, NOTED, len(self._noted))

    def to_list(self) -> list[dict[str, Any]]:
        """Return them as plain data."""
        return [asdict(transition) for transition in self._noted]
