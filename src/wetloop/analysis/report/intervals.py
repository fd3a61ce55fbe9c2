"""Intervals between the spikes of an electrode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.activity import intervals_s
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import COLOURS, Panel, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

EDGES_MS = np.logspace(-1, 5, 61)
SHORT_MS = 10.0


@dataclass(frozen=True)
class IntervalNumbers(Numbers):
    """Interspike intervals of all electrodes together; ``cv`` is their coefficient of variation."""

    intervals: int
    median_ms: float
    cv: float
    share_below_10_ms: float
    histogram: Columns


def measure(session: Material) -> IntervalNumbers:
    """Return the distribution in ten bins per decade."""
    found_ms = 1000 * intervals_s(session.activity)
    some = len(found_ms) > 0
    counts = np.histogram(found_ms, EDGES_MS)[0]
    return IntervalNumbers(
        intervals=len(found_ms),
        median_ms=float(np.median(found_ms)) if some else float("nan"),
        cv=float(found_ms.std() / found_ms.mean()) if some and found_ms.mean() else float("nan"),
        share_below_10_ms=float((found_ms < SHORT_MS).mean()) if some else float("nan"),
        histogram={"from_ms": EDGES_MS[:-1], "to_ms": EDGES_MS[1:], "intervals": counts},
    )


def draw(numbers: IntervalNumbers) -> Figure:
    """Draw the share of intervals by their logarithm."""
    figure, (axes,) = new_figure()
    share = 100 * numbers.histogram["intervals"] / numbers.intervals
    axes.stairs(share, EDGES_MS, fill=True, color=COLOURS[0])
    logarithmic(axes)
    axes.set(xlabel="interspike interval (ms)", ylabel="share of intervals (%)")
    return figure


def panel(session: Material) -> Panel:
    """Return the distribution of interspike intervals."""
    numbers = measure(session)
    return Panel(
        "isi",
        "Interspike intervals",
        f"Intervals between successive spikes of an electrode, all electrodes together ({worded(numbers.intervals)}), "
        f"ten bins per decade. Median {worded(numbers.median_ms)} ms, coefficient of variation {worded(numbers.cv)}, "
        f"{worded(100 * numbers.share_below_10_ms)} % below 10 ms (within bursts).",
        numbers,
        lambda: draw(numbers),
        "" if numbers.intervals else "No electrode saw two spikes.",
    )
