"""Network bursts: how often, how long, how regular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.activity import network_bursts, rest_statistics, time_in_bursts
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import COLOURS, Panel, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material


@dataclass(frozen=True)
class BurstNumbers(Numbers):
    """Network bursts, and what cultures are compared by; a row of ``bursts`` is one of them."""

    bursts_per_min: float
    mean_duration_s: float
    share_of_spikes: float
    share_of_time: float
    interval_cv: float
    bursts: Columns


def measure(session: Material) -> BurstNumbers:
    """Return the bursts of the whole session, stimulation included."""
    activity = session.activity
    if not len(activity.times_s):
        nan = float("nan")
        return BurstNumbers(0.0, nan, nan, 0.0, nan, {"start_s": np.zeros(0), "duration_s": np.zeros(0)})
    found, told = network_bursts(activity), rest_statistics(activity)
    return BurstNumbers(
        told.bursts_per_min,
        told.burst_duration_s,
        told.share_in_bursts,
        time_in_bursts(activity),
        told.burst_interval_cv,
        {"start_s": found.start_s, "duration_s": found.stop_s - found.start_s},
    )


def draw(numbers: BurstNumbers, duration_s: float) -> Figure:
    """Draw bursts per minute over the session, their durations and the intervals between them."""
    figure, (rate, length, apart) = new_figure(3, height_in=4.6)
    start = numbers.bursts["start_s"]
    edges_min = np.append(np.arange(0, duration_s / 60, 1.0), duration_s / 60)
    per_min = np.histogram(start / 60, edges_min)[0] / np.diff(edges_min)
    rate.stairs(per_min, edges_min, fill=True, color=COLOURS[0])
    rate.set(xlabel="time since the start (min)", ylabel="bursts per min", ylim=(0, None))
    _histogram(length, numbers.bursts["duration_s"], "duration of a burst (s)", COLOURS[2])
    _histogram(apart, np.diff(start), "from one burst to the next (s)", COLOURS[3])
    return figure


def _histogram(axes: Axes, values_s: np.ndarray[tuple[int], np.dtype[np.float64]], label: str, colour: str) -> None:
    edges = np.append(np.arange(0.05, 1.0, 0.1), np.logspace(0.0212, 2.1, 22))
    axes.stairs(np.histogram(values_s, edges)[0], edges, fill=True, color=colour)
    logarithmic(axes)
    axes.set(xlabel=label, ylabel="bursts")


def panel(session: Material) -> Panel:
    """Return the figure of network bursts."""
    numbers = measure(session)
    duration_s = session.activity.duration_s
    return Panel(
        "bursts",
        "Network bursts",
        f"{len(numbers.bursts['start_s'])} network bursts: runs of bins of 100 ms in which at least 25 % of the active "
        "electrodes fire, gaps of up to 200 ms bridged, whether evoked or not. "
        f"{worded(numbers.bursts_per_min)} per min, {worded(numbers.mean_duration_s)} s long, "
        f"{worded(100 * numbers.share_of_spikes)} % of the spikes; coefficient of variation of their intervals "
        f"{worded(numbers.interval_cv)}. Durations are multiples of the bin.",
        numbers,
        lambda: draw(numbers, duration_s),
        "" if len(numbers.bursts["start_s"]) else "No network burst was found.",
    )
