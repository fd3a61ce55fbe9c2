"""The server's state machine; every transition is on disk, with who and why, before it counts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from wetloop.server.protocol import RefusalError

if TYPE_CHECKING:
    from pathlib import Path

State: TypeAlias = Literal["disarmed", "armed", "running", "paused", "tripped"]

ALLOWED: dict[State, tuple[State, ...]] = {
    "disarmed": ("armed",),
    "armed": ("running", "disarmed", "tripped"),
    "running": ("paused", "armed", "disarmed", "tripped"),
    "paused": ("running", "armed", "disarmed", "tripped"),
    "tripped": ("armed",),
}
"""Where each state may lead; only a person leads from tripped or disarmed to armed."""


@dataclass(frozen=True)
class Change:
    """A transition: who made it, why, and when (ISO 8601, UTC)."""

    state: State
    before: State
    who: str
    why: str
    at: str


class Machine:
    """The state of one rig. It survives the server: what was tripped stays tripped until somebody arms it.

    Parameters
    ----------
    path
        File of all transitions, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last = _last_change(path) or Change("disarmed", "disarmed", "server", "never armed", _now())

    @property
    def state(self) -> State:
        """The present state."""
        return self.last.state

    def go(self, state: State, who: str, why: str) -> Change:
        """Change the state.

        Raises
        ------
        RefusalError
            Where the present state does not lead there.
        """
        if state not in ALLOWED[self.state]:
            reason = f"{self.last.who}: {self.last.why}"
            raise RefusalError("refused", f"the rig is {self.state} ({reason}), which does not lead to {state}")
        change = Change(state, self.state, who, why, _now())
        with self._path.open("ab") as file:
            file.write(json.dumps(asdict(change)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.last = change
        return change


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _last_change(path: Path) -> Change | None:
    """Return the last whole line; one that a crash cut short is passed over."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    for line in reversed(lines):
        try:
            change = Change(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if change.state in get_args(State):
            return change
    return None
