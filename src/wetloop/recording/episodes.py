"""Cuts a session into episodes (in Pong: rallies) from its decisions alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wetloop.recording.schema import SESSION_END, decision_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.types import Records

EPISODE = np.dtype([("start_sample", "<i8"), ("stop_sample", "<i8"), ("hits", "<i8"), ("ended_by", "U16")])
"""From the first playing decision to the one that ended it; ``hits`` is the rally length, an ace has none."""

NEEDED = np.dtype(
    [
        (name, decision_dtype(0, 0)[name])
        for name in ("start_sample", "stop_sample", "playing", "terminated", "truncated", "events")
    ]
)
"""What must be known of each decision."""


def episodes(decisions: Records, event_names: Sequence[str]) -> Records:
    """Return the episodes of a session, dtype ``EPISODE``; of its decisions the fields of ``NEEDED`` are read.

    An episode starts at the first playing decision after the last one ended. It ends at a decision that
    terminates or truncates it or that reports a ``miss``; what is unfinished ends by the end of the session.
    """
    if not len(decisions):
        return np.zeros(0, EPISODE)
    missed = _happened(decisions, event_names, "miss")
    ended = np.flatnonzero(missed | (decisions["terminated"] > 0) | (decisions["truncated"] > 0))
    first, last = _spans(np.flatnonzero(decisions["playing"]), ended, len(decisions))
    before = np.append(0, np.cumsum(_happened(decisions, event_names, "hit")))
    found = np.zeros(len(first), EPISODE)
    found["start_sample"] = decisions["start_sample"][first]
    found["stop_sample"] = decisions["stop_sample"][last]
    found["hits"] = before[last + 1] - before[first]
    causes = [missed[last], decisions["terminated"][last] > 0, decisions["truncated"][last] > 0]
    found["ended_by"] = np.select(causes, ["miss", "terminated", "truncated"], SESSION_END)
    return found


def _happened(decisions: Records, event_names: Sequence[str], name: str) -> npt.NDArray[np.bool_]:
    """Return at which decisions the event was reported, shape (n_decisions,)."""
    bit = 1 << event_names.index(name) if name in event_names else 0
    happened: npt.NDArray[np.bool_] = (decisions["events"] & np.uint32(bit)) != 0
    return happened


def _spans(
    playing: npt.NDArray[np.int64], ended: npt.NDArray[np.int64], n_decisions: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first and last decision of each episode; an end that nothing playing came before is none."""
    last = np.unique(np.append(ended, n_decisions - 1))
    after = np.searchsorted(playing, np.append(0, last[:-1] + 1))
    first = np.append(playing, n_decisions)[after]
    real = first <= last
    return first[real], last[real]
