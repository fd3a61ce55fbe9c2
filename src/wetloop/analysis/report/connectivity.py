"""Functional connectivity: how much electrodes fire together, whatever their rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.measures import sttc
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import Panel, new_figure
from wetloop.analysis.story import raster_rows
from wetloop.core.layout import positions_um

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

DT_S = 0.01
LEAST_SPIKES = 10
MOST_CHANNELS = 128


@dataclass(frozen=True)
class ConnectivityNumbers(Numbers):
    """Spike time tiling coefficients; ``pairs`` has a row per pair of electrodes, with their distance."""

    dt_ms: float
    electrodes: int
    mean_sttc: float
    median_sttc: float
    pairs: Columns


def measure(session: Material) -> ConnectivityNumbers:
    """Return the coefficients of the most active electrodes, in the order of the raster."""
    channels = _channels(session)
    matrix = sttc(session.activity, channels, DT_S)
    first, second = np.triu_indices(len(channels), 1)
    where = positions_um(session.info.probe)[channels]
    values = matrix[first, second]
    return ConnectivityNumbers(
        dt_ms=1000 * DT_S,
        electrodes=len(channels),
        mean_sttc=float(values.mean()) if len(values) else float("nan"),
        median_sttc=float(np.median(values)) if len(values) else float("nan"),
        pairs={
            "channel_index": channels[first],
            "other_channel_index": channels[second],
            "distance_um": np.linalg.norm(where[first] - where[second], axis=1),
            "sttc": values,
        },
    )


def _channels(session: Material) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts = np.bincount(session.activity.channels, minlength=session.info.n_channels)
    chosen = np.argsort(-counts, kind="stable")[:MOST_CHANNELS]
    chosen = chosen[counts[chosen] >= LEAST_SPIKES]
    _, row_of = raster_rows(session.layout, session.info.n_channels)
    ordered: np.ndarray[tuple[int], np.dtype[np.int64]] = chosen[np.argsort(row_of[chosen])]
    return ordered


def draw(numbers: ConnectivityNumbers) -> Figure:
    """Draw the matrix of coefficients."""
    figure, (axes,) = new_figure(height_in=4.2)
    n = numbers.electrodes
    matrix = np.ones((n, n))
    first, second = np.triu_indices(n, 1)
    matrix[first, second] = matrix[second, first] = numbers.pairs["sttc"]
    shown = axes.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
    axes.grid(visible=False)
    axes.set(xlabel="electrode, by role", ylabel="electrode, by role")
    figure.colorbar(shown, ax=axes, shrink=0.9, label="STTC")
    return figure


def panel(session: Material) -> Panel:
    """Return the figure of functional connectivity."""
    numbers = measure(session)
    return Panel(
        "connectivity",
        "Functional connectivity",
        "Spike time tiling coefficient (Cutts and Eglen 2014) of each pair of electrodes, "
        f"dt = {worded(numbers.dt_ms)} ms: 1 where all spikes coincide, 0 as by chance. {worded(numbers.electrodes)} "
        f"electrodes with at least {LEAST_SPIKES} spikes (at most the {MOST_CHANNELS} most active), in the order of "
        f"the raster; mean {worded(numbers.mean_sttc)}. Bursts raise it everywhere.",
        numbers,
        lambda: draw(numbers),
        "" if numbers.electrodes > 1 else f"Fewer than two electrodes saw {LEAST_SPIKES} spikes.",
    )
