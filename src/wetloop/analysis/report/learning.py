"""Learning curves: what episodes are worth over the session, one curve per condition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wetloop.analysis.measures import interval_of_mean
from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.outcomes import Outcome, Sketch, split_s
from wetloop.analysis.report.style import COLOURS, INK, LINES, Panel, new_figure
from wetloop.core.plugin import seeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    Floats = npt.NDArray[np.float64]

N_BINS = 8
MARKERS = ("o", "s", "^", "D", "v", "X")


@dataclass(frozen=True)
class CurveNumbers(Numbers):
    """Learning curves; ``unit_of_interval`` says over what means and intervals are taken.

    ``curves`` has a row per condition and bin; ``episodes`` a row per episode.
    """

    measure: str
    unit: str
    unit_of_interval: str
    split_s: float
    curves: Columns
    episodes: Columns


def measure(sessions: Sequence[Sketch]) -> CurveNumbers:
    """Return a curve per condition, over sessions where a condition has several, else over its episodes."""
    told = [session.outcome for session in sessions]
    conditions = list(dict.fromkeys(session.condition for session in sessions))
    longest_s = max(session.duration_s for session in sessions)
    edges_s = np.linspace(0.0, longest_s, N_BINS + 1)
    curves = [
        _curve(name, [session.outcome for session in sessions if session.condition == name], edges_s)
        for name in conditions
    ]
    return CurveNumbers(
        measure=told[0].name,
        unit=told[0].unit,
        unit_of_interval="sessions" if len(sessions) > len(conditions) else "episodes",
        split_s=split_s(longest_s),
        curves={name: np.concatenate([curve[name] for curve in curves]) for name in curves[0]},
        episodes=_episodes(sessions),
    )


def _curve(condition: str, told: list[Outcome], edges_s: Floats) -> Columns:
    rng = seeded(0, f"learning {condition}")
    windows = list(pairwise(edges_s.tolist()))
    values = [_of_window(told, start_s, stop_s) for start_s, stop_s in windows]
    intervals = np.array([interval_of_mean(each, rng) for each in values])
    return {
        "condition": np.full(len(windows), condition),
        "start_s": edges_s[:-1],
        "stop_s": edges_s[1:],
        "episodes": np.array([sum(len(each.between(*window)) for each in told) for window in windows]),
        "mean": np.array([each.mean() if len(each) else np.nan for each in values]),
        "low": intervals[:, 0],
        "high": intervals[:, 1],
    }


def _of_window(told: list[Outcome], start_s: float, stop_s: float) -> Floats:
    """Return the values of the episodes of one session, or the mean of each of several sessions that has any."""
    found = [each.between(start_s, stop_s) for each in told]
    return found[0] if len(found) == 1 else np.array([each.mean() for each in found if len(each)])


def _episodes(sessions: Sequence[Sketch]) -> Columns:
    told = [session.outcome for session in sessions]
    counts = [len(each.values) for each in told]
    return {
        "session": np.repeat(np.arange(1, len(sessions) + 1), counts),
        "condition": np.repeat(np.array([session.condition for session in sessions], str), counts),
        "start_s": np.concatenate([each.start_s for each in told]),
        "value": np.concatenate([each.values for each in told]),
    }


def draw(numbers: CurveNumbers) -> Figure:
    """Draw a curve with its band per condition; episodes as points where there is only one."""
    figure, (axes,) = new_figure(height_in=3.4)
    curves, names = numbers.curves, list(dict.fromkeys(numbers.curves["condition"]))
    styles = zip(cycle(COLOURS), cycle(LINES), cycle(MARKERS), strict=False)
    if len(names) == 1:
        axes.plot(
            numbers.episodes["start_s"] / 60, numbers.episodes["value"], ".", color=INK, alpha=0.35, markersize=4,
            label="one episode", gid="episodes",
        )  # fmt: skip
    for name, (colour, line, marker) in zip(names, styles, strict=False):
        chosen = (curves["condition"] == name) & ~np.isnan(curves["mean"])
        centre = (curves["start_s"] + curves["stop_s"])[chosen] / 120
        axes.fill_between(centre, curves["low"][chosen], curves["high"][chosen], color=colour, alpha=0.2, linewidth=0)
        axes.plot(centre, curves["mean"][chosen], color=colour, linestyle=line, marker=marker, markersize=4, label=name)
    axes.axvline(numbers.split_s / 60, color=INK, linestyle=":", linewidth=1, label="T1 | T2")
    axes.set(xlabel="time since the start (min)", ylabel=f"{numbers.measure} ({numbers.unit})", ylim=(None, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def panel(sessions: Sequence[Sketch]) -> Panel:
    """Return the figure of learning curves."""
    numbers = measure(sessions)
    several = len(set(numbers.curves["condition"])) > 1
    return Panel(
        "learning",
        "Learning curves" if several else "Learning curve",
        f"Mean {numbers.measure} by the time at which an episode starts, {N_BINS} bins, with 95 % bootstrap intervals "
        f"over {numbers.unit_of_interval}. "
        + ("" if numbers.unit_of_interval == "sessions" else "Episodes of a session are no independent cultures. ")
        + f"The dotted line ends T1 ({numbers.split_s / 60:.3g} min).",
        numbers,
        lambda: draw(numbers),
        "" if len(numbers.episodes["value"]) else "No episode was played.",
    )
