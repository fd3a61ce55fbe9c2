"""Stops the stimulation of a running session, from any process of this machine."""

from __future__ import annotations

from wetloop.engine.arena import Arena
from wetloop.engine.live import SILENCE, Shared, now_host_ns, set_control_word


def stop_now(arena_name: str, who: str) -> float:
    """Let the stimulator's process forward nothing more, and return how long that took, s.

    Parameters
    ----------
    arena_name
        Name of the session's shared memory, as ``arena.segments`` lists it.
    who
        Who asked for it.
    """
    _ = who
    begun_ns = now_host_ns()
    with Arena.attach(arena_name) as arena:
        set_control_word(Shared.of(arena).control, SILENCE, 1)
    return (now_host_ns() - begun_ns) / 1e9
