"""The server's hold on a session: its process, its lock, and its shared memory, which survive the server."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.config import to_json
from wetloop.core.errors import RigError
from wetloop.engine.arena import Arena
from wetloop.engine.emergency import silence_now
from wetloop.engine.live import Shared, control_word
from wetloop.engine.steering import give_order
from wetloop.engine.words import EMERGENCY, EMERGENCY_NOTE, NOTED, OBEYED, ORDERED, ORIGIN, STATE_NOTE
from wetloop.server.place import Lock
from wetloop.server.player import NOTE, RESULT, TASK, read_json, replace_json

if TYPE_CHECKING:
    from pathlib import Path

    from wetloop.config import SessionConfig


class Task(NamedTuple):
    """What is to be played, for whom and why."""

    config: SessionConfig
    who: str
    why: str


class SessionHandle:
    """A session that runs, of this server or of one before it.

    Attributes
    ----------
    arena, shared
        Its shared memory, as soon as there is any.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes] | None) -> None:
        self._folder, self._process = folder, process
        self.arena: Arena | None = None
        self.shared: Shared | None = None
        self._noted = 0

    @classmethod
    def start(cls, folder: Path, task: Task) -> SessionHandle:
        """Start a session in a process group of its own, which the terminal's signals do not reach."""
        lock = Lock(folder / "session.lock")
        if not lock.take():
            raise RigError(f"a session is still running on this rig (process {lock.holder().get('pid')})")
        for name in (NOTE, RESULT):
            (folder / name).unlink(missing_ok=True)
        replace_json(folder / TASK, {"config": to_json(task.config), "who": task.who, "why": task.why})
        command = [sys.executable, "-m", "wetloop.server.player", str(lock.fd), str(folder)]
        with (folder / "session.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  (this interpreter, this package)
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock.fd], start_new_session=True
            )
        lock.let_go()
        return cls(folder, process)

    @classmethod
    def find(cls, folder: Path) -> SessionHandle | None:
        """Return a session that a server before this one has left running."""
        lock = Lock(folder / "session.lock")
        if lock.take():
            lock.let_go()
            return None
        return cls(folder, None)

    @property
    def note(self) -> dict[str, Any]:
        """What the session tells of itself: process id, shared memory, file, duration."""
        return read_json(self._folder / NOTE)

    @property
    def playing(self) -> bool:
        """Whether the rig has started."""
        return self.shared is not None and int(self.shared.control[ORIGIN]) >= 0

    @property
    def stopper(self) -> str:
        """Who has made an emergency stop; empty where nobody has."""
        if self.shared is None or not self.shared.control[EMERGENCY]:
            return ""
        return _text(self.shared.notes[EMERGENCY_NOTE]["who"]) or "somebody"

    def change(self) -> tuple[int, str, str] | None:
        """Return the newest change of state that the session tells (state, who, why), once.

        None while it has an order to obey: what it tells then may be older than the order.
        """
        if self.shared is None:
            return None
        control = self.shared.control
        noted = control_word(control, NOTED)
        if noted == self._noted or control_word(control, ORDERED) != control_word(control, OBEYED):
            return None
        self._noted = noted
        note = self.shared.notes[STATE_NOTE]
        return int(note["state"]), _text(note["who"]), _text(note["why"])

    def look(self) -> None:
        """Attach to the session's memory, once it has some."""
        if self.arena is None and (name := self.note.get("arena")):
            with suppress(RigError):
                self.arena = Arena.attach(name)
                self.shared = Shared.of(self.arena)

    def order(self, state: int, who: str, why: str) -> None:
        """Ask for a state; a session without memory can only be ended."""
        if self.shared is not None:
            give_order(self.shared, state, who, why)
        else:
            self._terminate()

    def stop_now(self, who: str) -> float:
        """Silence it and have it end; return the time until the rig was silent, s."""
        if self.arena is not None:
            return silence_now(self.arena.arrays, who)
        self._terminate()
        return 0.0

    def result(self) -> dict[str, Any] | None:
        """Return the last words, ``summary`` or ``error``, once the session has ended; ``died`` where it left none."""
        if not self._ended():
            return None
        self.arena = self.shared = None
        died = {"died": True, "error": {"kind": "RigError", "message": self._obituary()}}
        return read_json(self._folder / RESULT) or died

    def _ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return SessionHandle.find(self._folder) is None

    def _terminate(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def _obituary(self) -> str:
        if self._process is None:
            return "the session died without a word"
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the session's process died ({how}); {self._folder / 'session.log'} may tell why"


def _text(told: bytes) -> str:
    return told.decode(errors="replace")
