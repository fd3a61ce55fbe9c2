"""Where a rig's server keeps its things, and the locks that make it the only one.

A lock is an flock on a file, which the kernel drops when the process ends, however it ends: what lies in the file is
for the message only, and a file that is left behind is in nobody's way.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from wetloop.core.errors import RigError

if TYPE_CHECKING:
    from wetloop.config import SessionConfig

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def rig_name(config: SessionConfig) -> str:
    """Return the name of a rig: the lab's, or the kind of its source and a hash of the source's configuration."""
    if config.rig.name:
        return re.sub(r"[^\w.-]+", "-", config.rig.name)
    digest = hashlib.sha256(config.source.model_dump_json().encode()).hexdigest()
    return f"{config.source.kind}-{digest[:12]}"


def rig_folder(name: str, root: Path | None = None) -> Path:
    """Return the folder of a rig, made where it does not exist: readable by this user only."""
    folder = (root or platformdirs.user_state_path("wetloop") / "rigs") / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class Lock:
    """An exclusive lock; ``fd`` may be handed to a child process, which then holds it too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = -1

    def take(self, **facts: Any) -> bool:
        """Take the lock if nobody holds it, and leave these facts about the holder; return whether it was free."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self.fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "boot_id": boot_id(), **facts}).encode(), 0)
        return True

    def let_go(self) -> None:
        """Close this process's end; the lock is free when every process has."""
        os.close(self.fd)
        self.fd = -1

    def holder(self) -> dict[str, Any]:
        """Return what the holder has left."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._path.read_bytes()))
        return {}


def boot_id() -> str:
    """Return what tells this start of the machine from others; empty where the system does not tell."""
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


def server_lock(folder: Path, rig: str) -> Lock:
    """Take the lock of a rig's server.

    Raises
    ------
    RigError
        Where another server has it.
    """
    lock = Lock(folder / "server.lock")
    if not lock.take(rig=rig):
        pid = lock.holder().get("pid", "unknown")
        raise RigError(
            f"rig {rig} already has a server (process {pid}): wetloop ctl talks to it, wetloop ctl shutdown ends it"
        )
    return lock
