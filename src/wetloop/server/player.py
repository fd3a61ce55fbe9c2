"""A session in a process of its own: started by the server, but not dependent on its life.

It reads what to play from ``task.json`` in the rig's folder, holds the session lock (an inherited file) until it ends,
tells the name of its shared memory in ``session.json`` and leaves its last words in ``result.json``. Its changes of
state and alarms stand in ``sessions.log``, one JSON object a line, together with those of the sessions before.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetloop.core.errors import WetloopError
from wetloop.server.logs import logging_to

if TYPE_CHECKING:
    from wetloop.stages import Stage

TASK, NOTE, RESULT, LOGGED = "task.json", "session.json", "result.json", "sessions.log"


def main(lock_fd: str, folder: str) -> int:
    """Play, and return an exit code as ``wetloop run`` does."""
    os.set_inheritable(int(lock_fd), False)
    place = Path(folder)
    try:
        with logging_to(place / LOGGED):
            result = {"summary": _play(place, read_json(place / TASK))}
    except WetloopError as error:
        result = {"error": {"kind": type(error).__name__, "message": str(error)}}
    except BaseException as error:
        replace_json(place / RESULT, {"error": {"kind": type(error).__name__, "message": f"unexpected: {error}"}})
        raise
    replace_json(place / RESULT, result)
    return 0 if "summary" in result else 3


def _play(place: Path, task: dict[str, Any]) -> dict[str, Any]:
    from wetloop.config import from_json
    from wetloop.engine.signals import stop_on_signal
    from wetloop.session import run_session

    config = from_json(task["config"])
    with stop_on_signal() as stop:

        def on_stage(stage: Stage) -> None:
            if stage.shared is not None and stage.steering is not None:
                stop.attach(stage.shared.control)
                stage.steering.open_as(task["who"], task["why"])
            told = {"pid": os.getpid(), "arena": stage.name, "file": str(stage.log.path)}
            replace_json(place / NOTE, told | {"duration_s": config.duration, "condition": config.condition})

        return run_session(config, accelerated=False, stop=stop, on_stage=on_stage).to_dict()


def replace_json(path: Path, content: Any) -> None:
    """Write a file as a whole, or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return what was left in a file; nothing where there is none."""
    with suppress(OSError, ValueError):
        return dict(json.loads(path.read_bytes()))
    return {}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
