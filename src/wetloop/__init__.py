"""Wetloop: a closed-loop control server for cultured neurons on a microelectrode array."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from wetloop.recording.opened import OpenRecording

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the client of a server when it is asked for."""
    if name == "Client":
        return import_module("wetloop.server.client").Client
    raise AttributeError(f"module 'wetloop' has no attribute {name!r}")


def open(file: str | os.PathLike[str], *, trusted: bool = False) -> OpenRecording:  # noqa: A001  (read as wetloop.open)
    """Open a recording for looking at it: tables and samples that are read where they are sliced.

    Parameters
    ----------
    file
        A recording, complete or still growing.
    trusted
        Read it whatever its structure: by default a file that leads elsewhere or declares absurd sizes is refused.

    Raises
    ------
    RecordingError
        Saying what is wrong with the file.
    """
    from wetloop.recording.opened import OpenRecording

    return OpenRecording(file, trusted=trusted)
