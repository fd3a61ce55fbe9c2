"""The control words of a real-time session in shared memory, each on cache lines of its own, and its notes.

STOP: end everything. GO: host time of the start, ns. BEAT: the engine's heartbeat. POSITION, ARRIVAL: the sample up to
which the engine is done, and the arrival of that packet, ns. ORIGIN: first sample. LATE_BLOCKS: packets that took more
than a period. SILENCE: stimulate nothing more. LATE_AT_RIG: triggers that reached the rig too late. HELD_BACK: pulses
held back (silenced, or the engine without a heartbeat). ENDED: the source has ended. FORWARDED, ACCEPTED: pulses
forwarded to the rig, and those that it took in time. SILENCED: host time at which the rig forgot its planned pulses,
ns. EMERGENCY: the session is to end as stopped, by whom stands in ``notes``. ORDERED, OBEYED: number of the newest
order in ``notes``, and of the last one obeyed. NOTED: number of the newest change of state, which stands in ``notes``.
"""

from __future__ import annotations

import numpy as np

(
    STOP, GO, BEAT, POSITION, ARRIVAL, ORIGIN, LATE_BLOCKS, SILENCE, LATE_AT_RIG, HELD_BACK, ENDED, FORWARDED, ACCEPTED,
    SILENCED, EMERGENCY, ORDERED, OBEYED, NOTED,
) = range(0, 288, 16)  # fmt: skip
CONTROL_WORDS = 304

HEALTH = np.dtype(
    [
        ("beat_ns", "<i8"), ("backlog_rows", "<i8"), ("bytes", "<i8"), ("acknowledged_sample", "<i8"),
        ("raw_stopped_sample", "<i8"), ("free_bytes", "<i8"), ("needed_bytes", "<i8"),
    ]
)  # fmt: skip
"""What the recorder tells of itself: when it was last alive, rows that waited for it, bytes on the disk, up to where
everything survives a power cut, where raw samples ended for want of space (-1: nowhere), and the free space of its disk
with what is to be left of it (0: not known)."""

NOTE = np.dtype([("state", "<i8"), ("who", "S64"), ("why", "S256")])
"""What a person asks of a session, or it tells: a state of the guard, who wants it and why, UTF-8."""
ORDER_NOTE, EMERGENCY_NOTE, STATE_NOTE, NOTES = range(4)
"""Rows of ``notes``: the order from the session's server, the emergency stop from anybody, and what the session says of
its newest change of state; their number."""


def text_bytes(text: str, field: str, record: np.dtype[np.void] = NOTE) -> bytes:
    """Return a text as it fits into a field of a record, cut between two characters."""
    return text.encode()[: record[field].itemsize].decode(errors="ignore").encode()
