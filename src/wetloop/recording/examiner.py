"""Looks into recordings of strangers in a process of its own: a damaged HDF5 file can crash or hang the library.

The process has little memory, writes no file, loads no plug-in, and is ended when it takes too long. It answers in
JSON, so that a file which gets the better of it gains nothing here.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

LEAST_LIMIT_S: Final = 60.0
LIMIT_BYTES_PER_S: Final = 20e6
"""A file is given this time, and more the longer it is."""
MOST_MEMORY_BYTES: Final = 2 << 30
SPAWN: Final = get_context("spawn")


class Examiner:
    """Describes recordings one after another; a context, at whose end its process ends.

    Parameters
    ----------
    limit_s
        Time after which a file is given up, s; by default it depends on the file's size.
    """

    def __init__(self, limit_s: float | None = None) -> None:
        self._limit_s = limit_s
        self._process: BaseProcess | None = None
        self._pipe: Connection[bytes, bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def examine(self, path: Path, *, trusted: bool = False) -> dict[str, Any]:
        """Return what ``describe`` says, in printable characters.

        Raises
        ------
        RecordingError
            Saying what is wrong with the file, also where HDF5 crashed on it or did not come to an end.
        """
        limit_s = self._limit_s or _limit_s(path)
        try:
            answer = self._answer(path, limit_s, trusted=trusted)
        except (EOFError, OSError, ValueError):
            raise RecordingError(f"{path}: damaged or hostile: HDF5 crashed on it ({self._end()})") from None
        if answer is None:
            self._end()
            raise RecordingError(f"{path}: damaged or hostile: reading it came to no end within {limit_s:g} s")
        if "refused" in answer:
            raise RecordingError(answer["refused"])
        found: dict[str, Any] = _printable(answer["found"])
        return found

    def _answer(self, path: Path, limit_s: float, *, trusted: bool) -> Any:
        self._start()
        self._pipe.send_bytes(json.dumps([str(path), trusted]).encode())
        return json.loads(self._pipe.recv_bytes()) if self._pipe.poll(limit_s) else None

    def _start(self) -> None:
        if self._process is None:
            self._pipe, theirs = SPAWN.Pipe()
            self._process = SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()

    def _end(self) -> str:
        """End the process, and return how it ended."""
        process, self._process = self._process, None
        if process is None:
            return ""
        self._pipe.close()
        process.join(1.0)
        process.kill()
        process.join()
        code = process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _limit_s(path: Path) -> float:
    size = path.stat().st_size if path.is_file() else 0
    return LEAST_LIMIT_S + size / LIMIT_BYTES_PER_S


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return hdf5.printable(value)
    if isinstance(value, dict):
        return {hdf5.printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


def _serve(pipe: Connection[bytes, bytes]) -> None:
    """Answer until nobody asks any more."""
    from wetloop.engine.host import die_with_parent
    from wetloop.recording.describe import describe

    die_with_parent()
    _confine()
    while True:
        try:
            path, trusted = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        answer: dict[str, Any] = {}
        try:
            answer["found"] = describe(Path(path), trusted=trusted)
        except RecordingError as error:
            answer["refused"] = str(error)
        pipe.send_bytes(json.dumps(answer).encode())


def _confine() -> None:
    """Give up what reading a file does not need; the library's complaints go nowhere."""
    hdf5.forget_plugins()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory_bytes = pages * resource.getpagesize() + MOST_MEMORY_BYTES
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(what, (most, most))
