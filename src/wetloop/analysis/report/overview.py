"""Activity of the whole session: rate of every electrode over time, in order of their roles, and of the array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.style import COLOURS, MAP, Panel, new_figure
from wetloop.analysis.story import raster_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material
    from wetloop.analysis.story import Group

MOST_BINS = 240
TICK_ROOM = 0.045


@dataclass(frozen=True)
class OverviewNumbers(Numbers):
    """Rates over time: ``array`` of the mean electrode, ``electrodes`` of each; one row per bin (and electrode)."""

    bin_s: float
    array: Columns
    electrodes: Columns


def measure(session: Material) -> OverviewNumbers:
    """Return the rates in at most 240 bins of at least 1 s."""
    activity = session.activity
    bin_s = max(1.0, float(np.ceil(session.duration_s / MOST_BINS)))
    edges = np.append(np.arange(0, activity.duration_s, bin_s), activity.duration_s)
    which = np.searchsorted(edges, activity.times_s, "right") - 1
    n_bins, n = len(edges) - 1, activity.n_channels
    flat = np.bincount(which.clip(0, n_bins - 1) * n + activity.channels, minlength=n_bins * n)
    rates_hz = flat.reshape(n_bins, n) / np.diff(edges)[:, None]
    when, channel = np.divmod(np.arange(n_bins * n), n)
    return OverviewNumbers(
        bin_s=bin_s,
        array={"start_s": edges[:-1], "stop_s": edges[1:], "mean_rate_hz": rates_hz.mean(axis=1)},
        electrodes={"start_s": edges[:-1][when], "channel_index": channel, "rate_hz": rates_hz.ravel()},
    )


def draw(numbers: OverviewNumbers, groups: list[Group], row_of: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Figure:
    """Draw the array's rate above the rates of the electrodes."""
    figure, (top, below) = new_figure(2, height_in=4.2, sharex=True, height_ratios=[1, 3])
    start, stop = numbers.array["start_s"], numbers.array["stop_s"]
    top.stairs(numbers.array["mean_rate_hz"], np.append(start, stop[-1]) / 60, color=COLOURS[0], fill=True)
    top.set_ylabel("mean (Hz)")
    picture = np.zeros((len(row_of), len(start)))
    picture[row_of] = numbers.electrodes["rate_hz"].reshape(len(start), -1).T
    largest = max(1.0, float(np.quantile(picture, 0.99)))
    edges_min = np.append(start, stop[-1]) / 60
    mesh = below.pcolormesh(
        edges_min, np.arange(len(row_of) + 1), picture, cmap=MAP, vmin=0, vmax=largest, rasterized=True
    )
    _name_groups(below, groups, len(row_of))
    below.set_xlabel("time since the start (min)")
    bar = figure.colorbar(mesh, ax=below, location="bottom", aspect=40, shrink=0.9, extend="max")
    bar.set_label("rate of an electrode (Hz)")
    return figure


def _name_groups(axes: Axes, groups: list[Group], n_rows: int) -> None:
    axes.set_ylim(n_rows, 0)
    axes.grid(visible=False)
    room = n_rows * TICK_ROOM
    axes.set_yticks([(group.first + group.stop) / 2 for group in groups if group.stop - group.first >= room])
    axes.set_yticklabels([group.name for group in groups if group.stop - group.first >= room])
    axes.tick_params("y", length=0)
    for group in groups[1:]:
        axes.axhline(group.first, color="white", linewidth=0.8)


def panel(session: Material) -> Panel:
    """Return the figure of the session's activity."""
    numbers = measure(session)
    groups, row_of = raster_rows(session.layout, session.info.n_channels)
    return Panel(
        "activity",
        "Activity over the session",
        f"Rate in bins of {numbers.bin_s:g} s: above, of the mean electrode; below, of each electrode, ordered by its "
        "role. Colours end at the 99th percentile.",
        numbers,
        lambda: draw(numbers, groups, row_of),
        "" if len(session.activity.times_s) else "No spike was recorded.",
    )
