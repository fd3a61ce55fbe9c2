"""Opens a recording only where its structure is that of a recording; a file of strangers could lead anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path, *, trusted: bool = False) -> h5py.File:
    """Return the file, open for reading.

    Parameters
    ----------
    path
        The file.
    trusted
        Open it even where it leads into other files, declares absurd sizes or asks for unusual filters.

    Raises
    ------
    RecordingError
        Where it is no HDF5 file, or not as harmless as a recording (``wetloop.core.hdf5``).
    """
    file = _open(path)
    fault = None if trusted else hdf5.fault_in(file)
    if fault:
        file.close()
        raise RecordingError(
            f"{path}: {fault}. Nothing else was read: the file is damaged, or was made to do harm; if you know where "
            "it comes from, say --trust"
        )
    return file


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise RecordingError(f"{path}: {'this is a folder' if path.is_dir() else 'there is no such file'}")
    if not path.stat().st_size:
        raise RecordingError(f"{path}: the file is empty")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise RecordingError(f"{path}: {_reason(str(error))}") from error


def _reason(message: str) -> str:
    """Return what HDF5's refusal means."""
    if "truncated file" in message:
        return "the file is truncated: its end is missing; wetloop recover saves what is there"
    if "signature not found" in message:
        return "this is no HDF5 file"
    return f"HDF5 cannot open the file: {message}"
