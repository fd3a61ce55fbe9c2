"""What is to be played next; it lies in a file, so that it survives the server."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from wetloop.config import from_json, to_json
from wetloop.core.errors import ConfigError
from wetloop.server.handle import Task
from wetloop.server.player import read_json, replace_json
from wetloop.server.protocol import Play

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("wetloop.server")


class Queue:
    """Sessions in the order in which they are played.

    Parameters
    ----------
    path
        File of the queue.

    Attributes
    ----------
    held
        Whether nothing starts: what a server finds at its own start waits for a person, who may not know that the one
        before has crashed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = deque(_read(path))
        self.held = bool(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, play: Play, task: Task) -> None:
        """Put this behind everything else."""
        self._entries.append((play, task))
        self._save()

    def pop(self) -> Task:
        """Take out what is first."""
        _, task = self._entries.popleft()
        self._save()
        return task

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.held = False
        self._save()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the protocol tells them."""
        listed = [play.model_dump(mode="json") | {"who": task.who} for play, task in self._entries]
        return {"queue": listed, "held": self.held}

    def _save(self) -> None:
        rows = [
            {"play": play.model_dump(mode="json"), "config": to_json(task.config), "who": task.who}
            for play, task in self._entries
        ]
        replace_json(self._path, {"queue": rows})


def _read(path: Path) -> list[tuple[Play, Task]]:
    """Return the sessions in a file; one that this version cannot play is left out, with a word in the log."""
    found = []
    for row in read_json(path).get("queue", []):
        try:
            play = Play.model_validate(row["play"])
            found.append((play, Task(from_json(row["config"]), row["who"], play.why)))
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            LOG.warning("queued session left out", extra={"error": str(error)})
    return found
