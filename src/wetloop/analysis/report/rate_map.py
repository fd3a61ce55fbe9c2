"""Mean rate of each electrode, where it lies on the array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.activity import rates_hz
from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.style import INK, MAP, Panel, decade, new_figure
from wetloop.core.layout import pitch_um, positions_um

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

MARKERS = ("o", "D", "^", "v", "P", "X", "h", "p")
LEAST_SHOWN_HZ = 0.01


@dataclass(frozen=True)
class RateNumbers(Numbers):
    """Rates over the whole session; ``active`` electrodes fire at all."""

    electrodes_active: int
    median_rate_active_hz: float
    mean_rate_active_hz: float
    electrodes: Columns


def measure(session: Material) -> RateNumbers:
    """Return the rate, place and role of each electrode."""
    rates, where = rates_hz(session.activity), positions_um(session.info.probe)
    active = rates[rates > 0]
    return RateNumbers(
        electrodes_active=len(active),
        median_rate_active_hz=float(np.median(active)) if len(active) else float("nan"),
        mean_rate_active_hz=float(active.mean()) if len(active) else float("nan"),
        electrodes={
            "channel_index": np.arange(len(rates)),
            "x_um": where[:, 0],
            "y_um": where[:, 1],
            "role": roles(session),
            "rate_hz": rates,
        },
    )


def roles(session: Material) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Return the role of each channel in words, shape (n_channels,)."""
    named = np.array([f"motor {region}" for region in session.layout.regions], "<U16")
    named[session.layout.regions < 0] = "other"
    named[list(session.layout.sensory)] = "sensory"
    return named


def draw(numbers: RateNumbers) -> Figure:
    """Draw the electrodes at their places: shape by role, colour by rate."""
    from matplotlib.colors import LogNorm

    figure, (axes,) = new_figure(height_in=4.2)
    told = numbers.electrodes
    rates = told["rate_hz"].clip(LEAST_SHOWN_HZ)
    norm = LogNorm(LEAST_SHOWN_HZ, max(1.0, float(rates.max())))
    names = sorted(set(told["role"]), key=lambda name: (name != "sensory", name))
    shapes = dict(zip(names, ("s", *MARKERS * len(names)), strict=False))
    for name in names:
        chosen = told["role"] == name
        drawn = axes.scatter(
            told["x_um"][chosen], told["y_um"][chosen], c=rates[chosen], norm=norm, cmap=MAP, marker=shapes[name],
            s=_mark_area(told), edgecolors=INK, linewidths=0.5, label=name,
        )  # fmt: skip
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.margins(0.08)
    axes.set(xlabel="x (µm)", ylabel="y (µm)")
    figure.legend(loc="outside upper left", ncols=4)
    figure.colorbar(drawn, ax=axes, shrink=0.8, extend="min", label="mean rate (Hz)", format=decade)
    return figure


def _mark_area(told: Columns) -> float:
    """Return the area of a mark, square points, such that neighbours do not overlap much."""
    where = np.column_stack([told["x_um"], told["y_um"]])
    extent = max(1.0, float(np.ptp(where, axis=0).max()))
    return float(np.clip(190 * pitch_um(where) / extent, 1.5, 11) ** 2)


def panel(session: Material) -> Panel:
    """Return the map of rates."""
    numbers = measure(session)
    return Panel(
        "rates",
        "Rate of each electrode",
        f"Mean rate over the session on the layout of the array; shapes tell the role. {numbers.electrodes_active} of "
        f"{session.info.n_channels} electrodes saw spikes. The scale is logarithmic and ends at {LEAST_SHOWN_HZ} Hz.",
        numbers,
        lambda: draw(numbers),
        "" if numbers.electrodes_active else "No spike was recorded.",
    )
