"""What ``wetloop doctor`` measures: how punctually a process wakes up, and how long the disk holds a writer up."""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wetloop.cli.doctor_checks import Check, judged, memory_lock, real_time
from wetloop.cli.spread import Spread
from wetloop.core.clock import WallPace
from wetloop.engine.host import Permissions, die_with_parent, obtain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

RATE_HZ = 1000.0
FRAME_US = 1e6 / RATE_HZ
PUNCTUAL_US = 200.0
"""99 of 100 wake-ups of a quiet computer are earlier than this, with or without real-time priority."""
WRITE_BYTES = 64 * 1024
"""20 ms of 64 channels."""
MOST_WRITES = 500
PATIENT_US = 1e6
"""The rings hold far more than a second; a disk that often takes longer will fill them one day."""


def punctuality(seconds: float) -> Iterator[Check]:
    """Yield what an engine is permitted here, and how punctually it then wakes up within ``seconds``."""
    try:
        permissions, lateness = watch_wake_ups(seconds)
    except BrokenProcessPool:
        remedy = "it may take more memory than there is: an engine locks about 350 MB; see dmesg"
        yield Check("timer wake-up", "fail", "the process that was to measure it was killed", remedy)
        return
    yield from (real_time(permissions), memory_lock(permissions), wake_ups(lateness, permissions))


def watch_wake_ups(seconds: float) -> tuple[Permissions, Spread]:
    """Wake up at 1 kHz in a process of its own, with what an engine is permitted; return that, and the lateness."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_wake_ups, seconds, os.getpid()).result()


def _wake_ups(seconds: float, parent_pid: int) -> tuple[Permissions, Spread]:
    die_with_parent(parent_pid=parent_pid)
    permissions = obtain("engine")
    late_us = np.zeros(max(1, round(seconds * RATE_HZ)))
    pace = WallPace(RATE_HZ)
    gc.disable()
    origin = time.monotonic()
    pace.wait(0)
    for i in range(late_us.size):
        pace.wait(i + 1)
        late_us[i] = (time.monotonic() - origin) * 1e6 - (i + 1) * FRAME_US
    return permissions, Spread(late_us)


def wake_ups(spread: Spread, permissions: Permissions) -> Check:
    """Judge the lateness of wake-ups against a frame of 1 ms.

    The rarest ones are shown and not judged: under a hypervisor nothing bounds them.
    """
    missed = float((spread.times_us > FRAME_US).mean())
    value = f"{spread.describe()}; {missed:.2%} later than a frame"
    if spread.percentile_us(50) > FRAME_US:
        remedy = "this computer is too busy to answer within a frame: stop other programs, or move to another one"
        return Check("timer wake-up", "fail", value, remedy, spread)
    if spread.percentile_us(99) <= PUNCTUAL_US:
        return Check("timer wake-up", "pass", value, spread=spread)
    remedy = (
        "stop other programs; a PREEMPT_RT kernel, the performance governor and no hypervisor help"
        if permissions.fifo_priority is not None
        else "permit real-time priority first (above)"
    )
    return Check("timer wake-up", "warn", value, remedy, spread)


def locking(folder: Path) -> Check:
    """Try whether the file system of the folder keeps a second writer out."""
    name, remedy = "file locking", "two sessions could write one file: put recordings on a local disk"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file, Path(file.name).open("rb") as other:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Check(name, "pass", "works")
    except OSError as error:
        return Check(name, "warn", f"{folder}: {error.strerror}", remedy)
    return Check(name, "warn", f"{folder}: the file system grants one lock twice", remedy)


def writing(folder: Path, seconds: float, needed_bytes_per_s: float) -> Check:
    """Write as a recorder does and judge how long each write takes to be on the disk.

    Parameters
    ----------
    folder
        Folder of the recording; made where there is none.
    seconds
        How long to write at most, s.
    needed_bytes_per_s
        What the session writes; 0 where that is not known.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        spread = Spread(_write_times_us(folder, seconds))
    except OSError as error:
        remedy = "choose a folder that can be written: --folder, or recording.folder in the configuration"
        return Check("disk writes", "fail", f"{folder}: {error.strerror}", remedy)
    bytes_per_s = WRITE_BYTES * spread.times_us.size / spread.times_us.sum() * 1e6
    value = f"{spread.describe()} writes of {WRITE_BYTES // 1024} KiB, each flushed; {bytes_per_s / 1e6:.3g} MB/s"
    if bytes_per_s < needed_bytes_per_s:
        remedy = f"this session writes {needed_bytes_per_s / 1e6:.3g} MB/s: record to a faster disk"
        return Check("disk writes", "fail", value, remedy, spread)
    good = spread.percentile_us(99) <= PATIENT_US
    check = judged("disk writes", value, good=good, remedy="record to a local disk that nothing else uses")
    return Check(check.name, check.level, check.value, check.remedy, spread)


def _write_times_us(folder: Path, seconds: float) -> npt.NDArray[np.float64]:
    """Return how long each write and ``fdatasync`` took, us, shape (n_writes,); the file never has a name."""
    data = os.urandom(WRITE_BYTES)
    times_us: list[float] = []
    stop = time.monotonic() + seconds
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while not times_us or (len(times_us) < MOST_WRITES and time.monotonic() < stop):
            before = time.monotonic()
            file.write(data)
            os.fdatasync(file.fileno())
            times_us.append((time.monotonic() - before) * 1e6)
    return np.array(times_us)
