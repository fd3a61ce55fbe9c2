"""How well sessions went over time: what an episode is worth, T1 and T2, learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from wetloop.recording.tally import LONG_RALLY

if TYPE_CHECKING:
    from wetloop.analysis.report.material import Material

    Floats = npt.NDArray[np.float64]

FIRST_S = 300.0
"""DishBrain compares the first five minutes with the rest of the session (Kagan et al. 2022)."""


class Outcome(NamedTuple):
    """What an episode is worth: in words, its unit, and per episode its start, s, and its value."""

    name: str
    unit: str
    start_s: Floats
    values: Floats

    def between(self, start_s: float, stop_s: float) -> Floats:
        """Return the values of the episodes that start in the half-open window."""
        return self.values[(self.start_s >= start_s) & (self.start_s < stop_s)]


def outcome(session: Material) -> Outcome:
    """Return hits per episode where the task knows hits, else reward per episode, else how long it lasted."""
    found, decisions = session.episodes, session.decisions
    start_s = session.since_start_s(found["start_sample"])
    if "hit" in session.header["event_names"]:
        return Outcome("rally length", "hits", start_s, found["hits"].astype(float))
    if decisions["reward"].any():
        total = np.append(0.0, np.cumsum(decisions["reward"]))
        first = np.searchsorted(decisions["start_sample"], found["start_sample"])
        last = np.searchsorted(decisions["stop_sample"], found["stop_sample"], "right")
        return Outcome("reward of an episode", "a.u.", start_s, total[last] - total[first])
    length_s = (found["stop_sample"] - found["start_sample"]) / session.info.sampling_frequency
    return Outcome("length of an episode", "s", start_s, length_s)


class Sketch(NamedTuple):
    """What is kept of a session to compare it with others: all else would not fit into memory for hundreds."""

    file: str
    condition: str
    task: str
    seed: int
    duration_s: float
    outcome: Outcome
    scores: dict[str, float]


def sketch(session: Material, condition: str | None = None) -> Sketch:
    """Return what sessions are compared by; ``condition`` is the arm's name where an experiment gave it one."""
    return Sketch(
        session.path.name,
        condition or session.condition,
        session.task,
        session.header["seed"],
        session.duration_s,
        outcome(session),
        scores(session),
    )


def split_s(duration_s: float) -> float:
    """Return where T1 ends: after five minutes; in sessions shorter than ten, at half."""
    return FIRST_S if duration_s >= 2 * FIRST_S else duration_s / 2


def scores(session: Material) -> dict[str, float]:
    """Return the measures of DishBrain in T1 and T2 by name; NaN where there is nothing to measure."""
    split = split_s(session.duration_s)
    told = outcome(session)
    found: dict[str, float] = {}
    for part, start_s, stop_s in (("t1", 0.0, split), ("t2", split, float("inf"))):
        values = told.between(start_s, stop_s)
        found[f"episodes_{part}"] = float(len(values))
        found[f"mean_{part}"] = _mean(values)
        if told.unit == "hits":
            found[f"aces_percent_{part}"] = 100 * _mean(values == 0)
            found[f"long_percent_{part}"] = 100 * _mean(values > LONG_RALLY)
        found[f"paddle_per_s_{part}"] = _paddle_per_s(session, start_s, stop_s)
    return found


def _mean(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _paddle_per_s(session: Material, start_s: float, stop_s: float) -> float:
    """Return how far the paddle moves in play, field heights per second; NaN for a task without one."""
    names, rows = session.header["observation_names"], session.decisions
    if "paddle_y" not in names:
        return float("nan")
    when = session.since_start_s(rows["start_sample"])
    playing = (rows["playing"] > 0) & (when >= start_s) & (when < stop_s)
    moved = np.abs(np.diff(rows["observation"][:, names.index("paddle_y")].astype(float), prepend=np.nan))
    decision_s = session.header["decision_samples"] / session.info.sampling_frequency
    return float(np.nansum(moved[playing])) / (playing.sum() * decision_s) if playing.any() else float("nan")
