"""The emergency stop: silence first, questions later. Light enough for a signal handler: no kernel is loaded."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.engine.arena import Arena, segments
from wetloop.engine.halt import FOLDER, silence_at_once
from wetloop.engine.words import EMERGENCY, EMERGENCY_NOTE, GO, SILENCE, SILENCED, STOP, text_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

PATIENCE_S = 1.0
"""How long to wait for a rig to confirm its silence, s."""


def stop_sessions(names: Sequence[str], who: str, folder: Path = FOLDER) -> dict[str, float]:
    """Silence sessions of this user at once, all where none is named, and have them end as ``stopped``.

    Parameters
    ----------
    names
        Names of their shared memory.
    who
        Who stops them, for the recording.
    folder
        Where shared memory lies.

    Returns
    -------
    dict
        What ``stop_now`` returns, by name; one that ends meanwhile is not among them.

    Raises
    ------
    RigError
        Where a name is of no session, with the names of those that there are.
    """
    reached = silence_at_once(list(names), folder)
    unknown = [name for name in names if name not in reached]
    if unknown:
        running = ", ".join(segment.name for segment in segments(folder) if not segment.stale)
        raise RigError(f"no session called {', '.join(unknown)} is running; " + (running or "none is"))
    stopped = {}
    for name in reached:
        with suppress(RigError):
            stopped[name] = stop_now(name, who, folder)
    return stopped


def stop_now(arena_name: str, who: str, folder: Path = FOLDER) -> float:
    """Silence a real-time session of this user at once, and have it end as ``stopped``.

    Parameters
    ----------
    arena_name
        Name of the session's shared memory.
    who
        Who stops it, for the recording.
    folder
        Where shared memory lies.

    Returns
    -------
    float
        Time until the rig had forgotten its planned pulses, s; infinite where it has not confirmed that within a
        second. The stimulator forwards nothing more in any case.

    Raises
    ------
    RigError
        Where there is no such session.
    """
    begun_ns = time.monotonic_ns()
    silence_at_once([arena_name], folder)
    with Arena.attach(arena_name, folder) as arena:
        return silence_now(arena.arrays, who, begun_ns)


def ask_to_stop(control: npt.NDArray[Any], notes: npt.NDArray[Any], who: str) -> None:
    """Let nothing more be forwarded, and have the session end as ``stopped``; returns at once."""
    control[SILENCE] = 1
    notes[EMERGENCY_NOTE] = (0, text_bytes(who, "who"), b"emergency stop")
    control[EMERGENCY] = 1


def silence_now(arrays: Mapping[str, npt.NDArray[Any]], who: str, begun_ns: int | None = None) -> float:
    """Do what ``stop_now`` does, with the arrays of a session that are mapped already; ``begun_ns``: by default now."""
    control, begun_ns = arrays["control"], begun_ns or time.monotonic_ns()
    ask_to_stop(control, arrays["notes"], who)
    if not wait_until(lambda: bool(control[SILENCED]) or not control[GO] or bool(control[STOP]), PATIENCE_S):
        return math.inf
    done_ns = int(control[SILENCED]) or time.monotonic_ns()
    return max(0, done_ns - begun_ns) * 1e-9
