"""Wetloop: a closed-loop control server for cultured neurons on a microelectrode array."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from wetloop.recording.opened import OpenRecording

__version__ = "0.1.0"


def open(file: str | os.PathLike[str]) -> OpenRecording:  # noqa: A001  (read as wetloop.open)
    """Open a recording for looking at it: tables and samples that are read where they are sliced.

    Parameters
    ----------
    file
        A recording, complete or still growing.

    Raises
    ------
    RecordingError
        Saying what is wrong with the file.
    """
    from wetloop.recording.opened import OpenRecording

    return OpenRecording(file)
