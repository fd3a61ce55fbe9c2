"""The emergency stop: silence first, questions later. Light enough for a signal handler: no kernel is loaded."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from wetloop.core.clock import wait_until
from wetloop.engine.arena import Arena
from wetloop.engine.halt import silence_at_once
from wetloop.engine.words import EMERGENCY, EMERGENCY_NOTE, GO, SILENCE, SILENCED, STOP, text_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

PATIENCE_S = 1.0
"""How long to wait for a rig to confirm its silence, s."""


def stop_now(arena_name: str, who: str) -> float:
    """Silence a real-time session of this user at once, and have it end as ``stopped``.

    Parameters
    ----------
    arena_name
        Name of the session's shared memory.
    who
        Who stops it, for the recording.

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
    silence_at_once([arena_name])
    with Arena.attach(arena_name) as arena:
        return silence_now(arena.arrays, who, begun_ns)


def silence_now(arrays: Mapping[str, npt.NDArray[Any]], who: str, begun_ns: int | None = None) -> float:
    """Do what ``stop_now`` does, with the arrays of a session that are mapped already; ``begun_ns``: by default now."""
    control, begun_ns = arrays["control"], begun_ns or time.monotonic_ns()
    control[SILENCE] = 1
    arrays["notes"][EMERGENCY_NOTE] = (0, text_bytes(who, "who"), b"emergency stop")
    control[EMERGENCY] = 1
    if not wait_until(lambda: bool(control[SILENCED]) or not control[GO] or bool(control[STOP]), PATIENCE_S):
        return math.inf
    done_ns = int(control[SILENCED]) or time.monotonic_ns()
    return max(0, done_ns - begun_ns) * 1e-9


def is_session(arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Tell whether shared memory belongs to a session that can be stopped."""
    return {"control", "notes"} <= arrays.keys()
