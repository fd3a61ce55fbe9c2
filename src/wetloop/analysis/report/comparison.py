"""Sessions side by side, and their means by condition: plain descriptive numbers, no test."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.measures import interval_of_mean
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.outcomes import Sketch, split_s
from wetloop.core.errors import ConfigError
from wetloop.core.plugin import seeded
from wetloop.recording.tally import LONG_RALLY

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def measure(sessions: Sequence[Sketch]) -> ComparisonNumbers:
    """Return the scores of the sessions and of their conditions.

    Raises
    ------
    ConfigError
        Where the sessions are not measured by the same.
    """
    scored = [session.scores for session in sessions]
    names = list(scored[0])
    _same_measure(sessions)
    columns: Columns = {
        "session": np.arange(1, len(sessions) + 1),
        "file": np.array([session.file for session in sessions], str),
        "condition": np.array([session.condition for session in sessions], str),
        "task": np.array([session.task for session in sessions], str),
        "seed": np.array([session.seed for session in sessions], np.int64),
        "duration_s": np.array([session.duration_s for session in sessions]),
        "split_s": np.array([split_s(session.duration_s) for session in sessions]),
        **{name: np.array([each[name] for each in scored]) for name in names},
    }
    told = sessions[0].outcome
    return ComparisonNumbers(told.name, told.unit, columns, _by_condition(columns, names))


def _same_measure(sessions: Sequence[Sketch]) -> None:
    measures = {session.outcome.name: session.file for session in sessions}
    if len(measures) > 1:
        told = ", ".join(f"{file} by {name}" for name, file in measures.items())
        raise ConfigError(f"sessions of different tasks cannot be compared ({told}): make a report of each")


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


def side_by_side(told: ComparisonNumbers) -> Columns:
    """Return the conditions, a row each, with the mean of every measure in T1 and T2, and its standard deviation."""
    rows = told.conditions
    names = list(dict.fromkeys(rows["condition"].tolist()))
    made: Columns = {
        "condition": np.array(names, str),
        "sessions": np.array([rows["sessions"][rows["condition"] == name][0] for name in names], np.int64),
    }
    stems = dict.fromkeys(name.rsplit("_", 1)[0] for name in rows["measure"].tolist())
    for stem, part in product(stems, ("t1", "t2")):
        title = f"{(WORDINGS | {'mean': f'{told.measure} ({told.unit})'})[stem]}, {part.upper()}"
        chosen = rows["measure"] == f"{stem}_{part}"
        pairs = zip(rows["mean"][chosen].tolist(), rows["sd"][chosen].tolist(), strict=True)
        made[title] = np.array(
            [f"{worded(mean)} ({worded(sd)})" if np.isfinite(sd) else worded(mean) for mean, sd in pairs]
        )
    return made
