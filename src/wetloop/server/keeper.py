"""What the server does with its rig: one session at a time, a queue, and the state machine between them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wetloop.config import load_config
from wetloop.core.errors import ConfigError, RigError
from wetloop.engine.notify import Notifier
from wetloop.engine.transitions import host_time
from wetloop.engine.words import POSITION
from wetloop.kernels.records import DISARMED, PAUSED, RUNNING, STATES, TRIPPED
from wetloop.server.handle import SessionHandle, Task
from wetloop.server.protocol import RefusalError
from wetloop.server.queue import Queue
from wetloop.server.states import Machine
from wetloop.server.telemetry import alarms

if TYPE_CHECKING:
    from pathlib import Path

    from wetloop.config import SessionConfig
    from wetloop.server.protocol import Play
    from wetloop.server.states import State

LOG = logging.getLogger("wetloop.server")
FOLLOWED: dict[int, State] = {PAUSED: "paused", RUNNING: "running", TRIPPED: "tripped"}
"""What a session may become of itself, by codes of ``records.STATES``."""


class Keeper:
    """Keeps one rig.

    Parameters
    ----------
    name
        Of the rig.
    path
        The rig's configuration file, which is also what is played where nothing else is asked for.
    folder
        Where the server keeps its things; a session that was left running there is taken over.
    """

    def __init__(self, name: str, path: Path, folder: Path) -> None:
        self.name, self._path, self._folder = name, path, folder
        self._rig = load_config(path)
        self._notifier = Notifier(self._rig.watch.notify, {"rig": name})
        self.machine = Machine(folder / "transitions.jsonl")
        self.queue = Queue(folder / "queue.json")
        self.last: dict[str, Any] = {}
        self.session = SessionHandle.find(folder)
        self._author = ("server", "found running")
        if self.session is None and self.machine.state in {"running", "paused"}:
            self._conclude(SessionHandle(folder, None).result() or {})

    def start(self, who: str, play: Play) -> dict[str, Any]:
        """Start a session; the state follows when the rig does."""
        if self.session is not None or self.machine.state != "armed":
            raise RefusalError("refused", f"{self._standing()}; a session starts on an armed rig that is free")
        self._start(self._task(who, play))
        return {"rig": self.name, "state": self.machine.state}

    def pause(self, who: str, why: str) -> dict[str, Any]:
        """Stop stimulating and hold the task; the recording goes on."""
        return self._order("paused", PAUSED, who, why)

    def resume(self, who: str, why: str) -> dict[str, Any]:
        """Go on after a pause."""
        return self._order("running", RUNNING, who, why)

    def stop(self, who: str, why: str) -> dict[str, Any]:
        """End the session, stimulation first, with a complete file."""
        if self.session is None:
            raise RefusalError("refused", f"{self._standing()}; nothing to stop")
        self.session.order(DISARMED, who, why)
        return {"state": self.machine.state}

    def stop_now(self, who: str, why: str) -> dict[str, Any]:
        """Silence the rig first of all; nothing starts until somebody arms it."""
        silent_s = 0.0 if self.session is None else self.session.stop_now(who)
        if self.machine.state not in {"tripped", "disarmed"}:
            self._go("tripped", who, f"emergency stop: {why}".rstrip(": "))
        return {"state": self.machine.state, "silent_s": silent_s if silent_s < float("inf") else None}

    def arm(self, who: str, why: str) -> dict[str, Any]:
        """Allow sessions, after a trip too."""
        return self._switch("armed", who, why)

    def disarm(self, who: str, why: str) -> dict[str, Any]:
        """Allow no session."""
        return self._switch("disarmed", who, why)

    def queue_add(self, who: str, play: Play) -> dict[str, Any]:
        """Play this after everything else."""
        self.queue.add(play, self._task(who, play))
        return self.queue_list()

    def queue_list(self) -> dict[str, Any]:
        """Return what is to be played."""
        return self.queue.to_dict()

    def queue_resume(self, who: str, why: str) -> dict[str, Any]:
        """Go on with a queue that was found when the server started."""
        LOG.info("queue goes on", extra={"who": who, "why": why})
        self.queue.held = False
        return self.queue_list()

    def queue_clear(self, who: str, why: str) -> dict[str, Any]:
        """Forget what was to be played."""
        LOG.info("queue cleared", extra={"who": who, "why": why})
        self.queue.clear()
        return self.queue_list()

    def look(self) -> None:
        """See what has become of the session, and start the next one."""
        if self.session is not None:
            self._follow(self.session)
        elif self.queue and not self.queue.held and self.machine.state == "armed":
            self._start(self.queue.pop())

    def close(self) -> None:
        """Let what was told arrive."""
        self._notifier.close()

    def standing(self) -> dict[str, Any]:
        """Return the state, who made it so when and why, and whether the rig is free, starting or playing."""
        return {"rig": self.name, **asdict(self.machine.last), "phase": self._phase}

    @property
    def _phase(self) -> str:
        return "free" if self.session is None else "playing" if self.session.playing else "starting"

    def status(self) -> dict[str, Any]:
        """Return how things stand."""
        queue = {"queued": len(self.queue), "queue_held": self.queue.held}
        return self.standing() | {"session": self._session_status(), "last": self.last, **queue}

    def _task(self, who: str, play: Play) -> Task:
        """Return what is to be played, on this rig and no other."""
        try:
            config = load_config(play.config or self._path, play.overrides)
        except ConfigError as error:
            raise RefusalError("invalid", str(error)) from None
        for part in ("source", "rig"):
            if _plain(config, part) != _plain(self._rig, part):
                raise RefusalError(
                    "invalid", f"{part} differs from that of the rig {self.name} ({self._path}): leave it out"
                )
        if config.watch.notify != self._rig.watch.notify:
            raise RefusalError(
                "invalid", f"watch.notify is what this machine runs and calls: {self._path} says so, no client does"
            )
        return Task(config, who, play.why)

    def _start(self, task: Task) -> None:
        try:
            self.session = SessionHandle.start(self._folder, task)
        except RigError as error:
            raise RefusalError("refused", str(error)) from None
        self._author = (task.who, task.why or "start")
        LOG.info("session starts", extra={"who": task.who, "why": task.why})

    def _order(self, state: State, code: int, who: str, why: str) -> dict[str, Any]:
        if self.session is None or not self.session.playing:
            raise RefusalError("refused", f"{self._standing()}; no session plays")
        self._go(state, who, why)
        self.session.order(code, who, why)
        return {"state": self.machine.state}

    def _switch(self, state: State, who: str, why: str) -> dict[str, Any]:
        if self.session is not None:
            raise RefusalError("refused", f"{self._standing()}; wait for the end of the session")
        self._go(state, who, why)
        return {"state": self.machine.state}

    def _follow(self, session: SessionHandle) -> None:
        session.look()
        if session.stopper and self.machine.state not in {"tripped", "disarmed"}:
            self._go("tripped", session.stopper, "emergency stop")
        elif session.playing and self.machine.state not in {"running", "paused", "tripped"}:
            if self.machine.state == "disarmed":
                self._go("armed", *self._author)
            self._go("running", *self._author)
        if session.playing and (change := session.change()) is not None:
            self._take_over(*change)
        result = session.result()
        if result is not None:
            self.session = None
            self._conclude(result)

    def _take_over(self, code: int, who: str, why: str) -> None:
        """Follow a session that was paused, resumed or tripped by a watchdog or by its guard."""
        state = FOLLOWED.get(code)
        if state is not None and state != self.machine.state and self.machine.state in {"running", "paused"}:
            self._go(state, who, why)

    def _conclude(self, result: dict[str, Any]) -> None:
        summary, error = result.get("summary"), result.get("error")
        if summary is None:
            self.last = {"ended": "failed", "error": error}
            LOG.error("session failed", extra={"error": error})
            message = str((error or {}).get("message", "failed"))
            if result.get("died"):
                self._notifier.tell("failed", {"at": host_time(), "message": message})
            self._unless_tripped("disarmed", "session", message)
            return
        self.last = {"ended": summary["ended"], "file": summary["file"], "duration_s": summary["duration_s"]}
        LOG.info("session ended", extra=self.last)
        state: State = "tripped" if summary["ended"] == "tripped" else "armed"
        ends = [row for row in summary["transitions"] if state == "armed" or row["state"] == state]
        end = ends[-1] if ends else {"who": "session", "why": summary["ended"]}
        self._unless_tripped(state, end["who"], end["why"])

    def _unless_tripped(self, state: State, who: str, why: str) -> None:
        if self.machine.state not in {"tripped", state}:
            self._go(state, who, why)

    def _go(self, state: State, who: str, why: str) -> None:
        LOG.info("state", extra=asdict(self.machine.go(state, who, why)))

    def _standing(self) -> str:
        last = self.machine.last
        busy = ", with a session" if self.session is not None else ""
        return f"the rig is {last.state}{busy} ({last.who}: {last.why or 'no reason given'})"

    def _session_status(self) -> dict[str, Any] | None:
        if self.session is None:
            return None
        note, shared = self.session.note, self.session.shared
        if shared is None:
            return note
        core = shared.records.core[0]
        return {
            **note, "guard_state": STATES[int(core["state"])],
            "position_sample": int(shared.control[POSITION]), "lost_samples": int(core["lost"]),
            "alarms": alarms(shared).active,
        }  # fmt: skip


def _plain(config: SessionConfig, part: str) -> Any:
    return getattr(config, part).model_dump(mode="json")
