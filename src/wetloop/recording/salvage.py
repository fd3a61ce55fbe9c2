"""Tells whether a recording is whole, and if not, writes what can be read of it as a journal.

Damaged HDF5 can crash or hang the library that reads it, so this runs in a process of its own:
``examine`` starts it, and takes a crash for an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.lengthened import Lengthened
from wetloop.recording.meter import Meter
from wetloop.recording.raw import compression_of
from wetloop.recording.reader import Recording
from wetloop.recording.remains import UNREADABLE, Remains, is_readable, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
SLOWEST_MB_S = 5.0
"""A library that reads more slowly than this hangs."""
TELLS_S = 0.1


class Verdict(NamedTuple):
    """What a file is: ``whole`` if complete and readable to the last byte, else what is wrong with it, in words."""

    whole: bool
    faults: tuple[str, ...]


def examine(path: Path, into: Path, on_progress: Callable[[float], None] | None = None) -> Verdict:
    """Read a recording in another process; of one that is not whole, write what is readable as a journal.

    Raises
    ------
    RecordingError
        Where there is no room for that journal, or what its raw samples are packed with is not installed.
    """
    if not path.is_file():
        return Verdict(whole=False, faults=(f"{path}: there is no such file",))
    command = [sys.executable, "-m", "wetloop.recording.salvage", str(path), str(into)]
    limit_s = PATIENCE_S + path.stat().st_size / 1e6 / SLOWEST_MB_S
    told: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as child,  # noqa: S603  (our own module)
    ):
        timer = Timer(limit_s, child.kill)
        timer.start()
        try:
            for line in child.stdout or ():
                told = json.loads(line)
                if on_progress and "share" in told:
                    on_progress(told["share"])
            child.wait()
            hangs = not timer.is_alive()
            complaints.seek(0)
            complaint = complaints.read()
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
    if child.returncode < 0:
        crash = f"HDF5 crashed on {path} (signal {-child.returncode})"
        return Verdict(whole=False, faults=(f"HDF5 hangs on {path}" if hangs else crash,))
    if child.returncode or "refused" in told:
        reason = told.get("refused") or complaint.strip().splitlines()[-1]
        raise RecordingError(f"{path} could not be examined: {reason}")
    return Verdict(whole=told["whole"], faults=tuple(told["faults"]))


def salvage(path: Path, into: Path, on_progress: Callable[[float], None] | None = None) -> Verdict:
    """Do the work of ``examine`` in this process."""
    hdf5.load_bitshuffle()
    meter = Meter(path.stat().st_size, on_progress)
    faults = list(_faults(path, meter))
    if not faults:
        return Verdict(whole=True, faults=())
    try:
        with Lengthened(path) as lengthened, h5py.File(lengthened, "r") as file:
            _require_filters(file)
            faults += Remains(file, path.stat().st_size, meter.begun_anew()).extract(into)
    except UNREADABLE:
        faults.append("nothing more can be read of it")
    return Verdict(whole=False, faults=tuple(faults))


def _faults(path: Path, meter: Meter) -> Iterator[str]:
    """Yield why a file is not whole; one that is complete is read to its last byte."""
    try:
        with Recording(path) as recording:
            if not recording.complete:
                yield f"{path} was not completed"
                return
        with h5py.File(path, "r") as file:
            _require_filters(file)
            damaged = [name for name in names_of(file) if not is_readable(file[name], meter)]
        if damaged:
            yield f"damaged: {', '.join(damaged)}"
    except UNREADABLE as error:
        yield f"HDF5 cannot read it: {error}"
    except RecordingError as error:
        if isinstance(error, MissingFilterError):
            raise
        yield str(error)


class MissingFilterError(RecordingError):
    """Raw samples can only be read with a package that is not installed: nothing is wrong with the file."""


def _require_filters(file: h5py.File) -> None:
    if schema.RAW in file and compression_of(file[f"{schema.RAW}/data"]) == "bitshuffle-lz4":
        try:
            hdf5.require_bitshuffle()
        except RecordingError as error:
            raise MissingFilterError(str(error)) from error


def main(arguments: list[str]) -> None:
    """Examine the first file into the second; say on stdout how far it is, and at last what was found."""
    told_s = 0.0

    def on_progress(share: float) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > TELLS_S:
            told_s = time.monotonic()
            _say({"share": share})

    try:
        _say(salvage(Path(arguments[0]), Path(arguments[1]), on_progress)._asdict())
    except RecordingError as error:
        _say({"refused": str(error)})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
