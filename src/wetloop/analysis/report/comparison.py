"""Sessions side by side, and their means by condition: plain descriptive numbers, no test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.measures import interval_of_mean
from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.outcomes import outcome, scores, split_s
from wetloop.core.plugin import seeded
from wetloop.recording.tally import LONG_RALLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.analysis.report.material import Material

WORDINGS = {
    "episodes": "episodes",
    "aces_percent": "aces, without a hit (%)",
    "long_percent": f"long, more than {LONG_RALLY} hits (%)",
    "paddle_per_s": "paddle movement in play (heights per s)",
}


@dataclass(frozen=True)
class ComparisonNumbers(Numbers):
    """Scores in T1 and T2.

    ``sessions`` has a row per recording, ``conditions`` one per condition and measure, with the mean over its sessions,
    their standard deviation and a 95 % bootstrap interval of the mean.
    """

    measure: str
    unit: str
    sessions: Columns
    conditions: Columns


def measure(sessions: Sequence[Material]) -> ComparisonNumbers:
    """Return the scores of the sessions and of their conditions; measures of Pong where all of them have hits."""
    scored = [scores(session) for session in sessions]
    shared = [name for name in scored[0] if all(name in each for each in scored)]
    columns: Columns = {
        "session": np.arange(1, len(sessions) + 1),
        "file": np.array([session.path.name for session in sessions], str),
        "condition": np.array([session.condition for session in sessions], str),
        "task": np.array([session.task for session in sessions], str),
        "seed": np.array([session.header["seed"] for session in sessions], np.int64),
        "duration_s": np.array([session.duration_s for session in sessions]),
        "split_s": np.array([split_s(session.duration_s) for session in sessions]),
        **{name: np.array([each[name] for each in scored]) for name in shared},
    }
    told = outcome(sessions[0])
    return ComparisonNumbers(told.name, told.unit, columns, _by_condition(columns, shared))


def _by_condition(columns: Columns, names: list[str]) -> Columns:
    rows = []
    for condition in dict.fromkeys(columns["condition"].tolist()):
        chosen = columns["condition"] == condition
        for name in names:
            values = columns[name][chosen]
            known = values[~np.isnan(values)]
            sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
            mean = float(known.mean()) if len(known) else float("nan")
            interval = interval_of_mean(known, seeded(0, f"{condition} {name}"))
            rows.append((condition, name, int(chosen.sum()), mean, sd, *interval))
    told = ("condition", "measure", "sessions", "mean", "sd", "low", "high")
    return {name: np.array(values) for name, values in zip(told, zip(*rows, strict=True), strict=True)}


def t1_and_t2(told: ComparisonNumbers) -> Columns:
    """Return the scores of the first session, a row per measure, with T1 beside T2."""
    names = [name.removesuffix("_t1") for name in told.sessions if name.endswith("_t1")]
    wordings = WORDINGS | {"mean": f"mean {told.measure} ({told.unit})"}
    return {
        "measure": np.array([wordings[name] for name in names], str),
        **{part: np.array([told.sessions[f"{name}_{part.lower()}"][0] for name in names]) for part in ("T1", "T2")},
    }
