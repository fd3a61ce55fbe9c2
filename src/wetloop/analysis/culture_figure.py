"""One picture of a simulated culture: rasters at rest and under pulses, intervals, avalanches, evoked spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.activity import intervals_s, network_bursts
from wetloop.analysis.avalanches import avalanches, exponent
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from wetloop.analysis.activity import Activity, Floats
    from wetloop.analysis.avalanches import Integers
    from wetloop.analysis.culture_trial import Trial

SHOWN_S = 30.0
BLUE, RED = "#0072B2", "#D55E00"


def write_figure(trial: Trial, path: Path) -> None:
    """Draw the trial and write it, in the format that the path's ending names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained", dpi=110)
    axes = figure.subplot_mosaic([["rest"] * 3, ["stimulated"] * 3, ["intervals", "sizes", "evoked"]])
    _draw_raster(axes["rest"], trial.rest, "At rest; network bursts shaded")
    _draw_raster(axes["stimulated"], trial.stimulated, "Under pulses at random electrodes; 2 ms after each left out")
    _draw_intervals(axes["intervals"], trial.rest)
    _draw_avalanches(axes["sizes"], trial.rest)
    _draw_evoked(axes["evoked"], trial)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the picture cannot be written: {error}") from error


def _draw_raster(axes: Axes, activity: Activity, title: str) -> None:
    shown = activity.times_s < SHOWN_S
    bursts = network_bursts(activity)
    for start, stop in zip(bursts.start_s, bursts.stop_s, strict=True):
        if start < SHOWN_S:
            axes.axvspan(start, min(stop, SHOWN_S), color="0.88", linewidth=0)
    axes.scatter(activity.times_s[shown], activity.channels[shown], s=6, marker="|", color="black", linewidths=0.5)
    until = min(SHOWN_S, activity.duration_s)
    axes.set(xlim=(0, until), ylim=(-1, activity.n_channels), title=title, xlabel="time (s)", ylabel="electrode")


def _draw_intervals(axes: Axes, activity: Activity) -> None:
    edges = np.logspace(-3, 2, 61).tolist()
    axes.hist(intervals_s(activity), edges, color=BLUE)
    axes.set(xscale="log", xlabel="interval between spikes of an electrode (s)", ylabel="intervals", title="Intervals")


def _draw_avalanches(axes: Axes, activity: Activity) -> None:
    found = avalanches(activity)
    parts = (found.sizes, "size", BLUE, "o"), (found.durations, "duration (bins)", RED, "x")
    for values, name, colour, mark in parts:
        at, density = _density(values)
        axes.plot(at, density, mark, color=colour, label=f"{name}, exponent {exponent(values):.2f}")
    reach = np.array([1.0, 300.0])
    axes.plot(reach, 0.5 * reach**-1.5, "--", color="0.5", label="-1.5")
    axes.set(xscale="log", yscale="log", xlabel="size (spikes) or duration", ylabel="probability density")
    axes.set_title(f"Avalanches, bins of {1000 * found.bin_s:.1f} ms")
    axes.legend(fontsize=8)


def _density(values: Integers) -> tuple[Integers, Floats]:
    """Return where whole numbers fall and their density, in logarithmic bins; empty bins are left out."""
    edges = np.unique(np.round(np.logspace(0, 4, 25)).astype(np.int64))
    counts, _ = np.histogram(values, edges)
    density = counts / np.diff(edges) / max(1, len(values))
    return edges[:-1][counts > 0], density[counts > 0]


def _draw_evoked(axes: Axes, trial: Trial) -> None:
    latency_ms = 1000 * trial.latencies_s
    n = max(1, trial.n_probes)
    counts, edges = np.histogram(latency_ms, np.arange(-200, 301, 5))
    axes.stairs(counts / n, edges, fill=True, color=BLUE)
    axes.axvline(0, color=RED, linewidth=1)
    axes.set(xlabel="time from a pulse on one electrode (ms)", ylabel="spikes per pulse in 5 ms", title="Evoked")
