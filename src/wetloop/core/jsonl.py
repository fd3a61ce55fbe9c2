"""Files that only grow, one JSON object a line: a line counts when its end is on the disk.

Several processes may append to one file; what a crash cut off is dropped by the next one who appends.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from wetloop.core.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedRandom
    from pathlib import Path


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row; it is on the disk when this returns."""
    line = json.dumps(row, allow_nan=False, sort_keys=True).encode() + b"\n"
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_unfinished(file)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error


def rows(path: Path) -> list[dict[str, Any]]:
    """Return all rows that were written whole; none where there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        return [dict(json.loads(line)) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RecordingError(f"{path}: damaged, not one JSON object a line: {error}") from error


def _drop_unfinished(file: BufferedRandom) -> None:
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
