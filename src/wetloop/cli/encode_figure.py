"""The picture of ``wetloop encode-preview``: from what is seen to when which electrode pulses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.cli.codes_view import told
from wetloop.cli.encode_curves import draw_code
from wetloop.core.errors import ConfigError
from wetloop.core.layout import positions_um
from wetloop.kernels.records import DELIVERED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from wetloop.cli.encode_play import Preview
    from wetloop.coding.codes import CodeFacts

    Draw = Callable[[Axes], None]

RED = "#D55E00"
MOST_FEATURES, CODES_PER_ROW, WRAP = 22, 3, 62


def write_figure(preview: Preview, path: Path) -> None:
    """Draw the preview and write it, in the format that the path's ending names."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawn = [code for code in preview.codes if code.curves]
    rows = -(-len(drawn) // CODES_PER_ROW)
    figure = Figure(figsize=(13, 8.2 + 4.1 * rows), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08), dpi=110)
    figure.suptitle(_title(preview), fontsize=13)
    seen, pulsed, *curves = figure.subfigures(2 + rows, 1, height_ratios=[4.6, 3.4, *[4.1] * rows], squeeze=False)[:, 0]
    _draw_seen(seen, preview)
    _draw_raster(pulsed.subplots(), preview)
    for row, part in enumerate(curves):
        codes = drawn[row * CODES_PER_ROW : (row + 1) * CODES_PER_ROW]
        for axes, code in zip(part.subplots(1, len(codes), squeeze=False)[0], codes, strict=True):
            draw_code(axes, code, preview, WRAP * CODES_PER_ROW // len(codes))
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the picture cannot be written: {error}") from error


def _title(preview: Preview) -> str:
    setting = preview.setting
    what = f"{setting.played.task.kind} on {setting.info.name}, encoder {setting.played.encoder.kind}"
    at_s = preview.start_sample / setting.info.sampling_frequency
    return f"{what}: what the culture is shown at {at_s:.2f} s (encoder alone, without feedback)"


def _draw_seen(part: Any, preview: Preview) -> None:
    """Draw what the task shows on the left, the electrodes on the right."""
    panels: list[tuple[float, Draw]] = []
    frame = preview.outcome.frame
    if frame is not None:
        panels.append((1.2, lambda axes: _draw_frame(axes, preview)))
        panels += [(1.4, _grid_panel(preview, code)) for code in preview.codes if code.grid]
    panels.append((0.8, lambda axes: _draw_observation(axes, preview)))
    panels.append((1.5, lambda axes: _draw_map(axes, preview)))
    widths = [width for width, _ in panels]
    for axes, (_, draw) in zip(
        part.subplots(1, len(panels), width_ratios=widths, squeeze=False)[0], panels, strict=True
    ):
        draw(axes)


def _draw_frame(axes: Axes, preview: Preview) -> None:
    frame = preview.outcome.frame
    if frame is None:
        return
    axes.imshow(frame, cmap="gray", vmin=0, vmax=255)
    axes.set(title=f"Frame, {frame.shape[1]} x {frame.shape[0]} pixels", xlabel="column (pixel)", ylabel="row (pixel)")


def _grid_panel(preview: Preview, code: CodeFacts) -> Draw:
    from wetloop.coding.retinotopic import pool

    def draw(axes: Axes) -> None:
        frame, grid = preview.outcome.frame, code.grid
        if frame is None or grid is None:
            return
        pooled = pool(frame, *grid)
        aspect = frame.shape[0] / grid[0] * grid[1] / frame.shape[1]
        top = max(0.01, float(pooled.max()))
        picture = axes.imshow(pooled, cmap="gray", vmin=0, vmax=top, aspect=aspect)
        axes.figure.colorbar(picture, ax=axes, label="mean brightness, 0 to 1", location="bottom", shrink=0.8)
        places = {channel: place for place, channel in enumerate(preview.setting.layout.sensory)}
        for k, channel in enumerate(code.channels):
            row, column = divmod(k, grid[1])
            ink = "black" if pooled[row, column] > 0.5 * top else "white"
            label = f"{places[channel]}\n{preview.rates_hz.get(channel, 0):.0f} Hz"
            axes.text(column, row, label, ha="center", va="center", color=ink, fontsize=7 if grid[1] < 7 else 6)
        axes.set(title=f"Pooled, {grid[0]} x {grid[1]}: electrode and rate", xticks=[], yticks=[])

    return draw


def _draw_observation(axes: Axes, preview: Preview) -> None:
    """List the elements of the observation; those that a code tells are bold."""
    axes.set_axis_off()
    axes.set_title("Observation (bold: told by the encoder)")
    words = " ".join(told(code) for code in preview.codes)
    items = list(preview.observation.items())
    for k, (name, value) in enumerate(items[:MOST_FEATURES]):
        y = 0.97 - k / MOST_FEATURES
        weight = "bold" if name in words else "normal"
        axes.text(0.58, y, name, ha="right", va="top", fontsize=9, weight=weight, transform=axes.transAxes)
        axes.text(0.64, y, f"{value:.4g}", va="top", fontsize=9, weight=weight, transform=axes.transAxes)
    if len(items) > MOST_FEATURES:
        axes.text(0.5, 0, f"and {len(items) - MOST_FEATURES} more", ha="center", fontsize=9, transform=axes.transAxes)


def _draw_map(axes: Axes, preview: Preview) -> None:
    """Draw the array: sensory electrodes by rate, motor regions as open symbols, the rest as dots."""
    setting = preview.setting
    where, layout = positions_um(setting.info.probe), setting.layout
    sensory = list(layout.sensory)
    rest = np.setdiff1d(np.flatnonzero(layout.regions < 0), sensory)
    axes.scatter(where[rest, 0], where[rest, 1], s=6, color="0.75")
    for region in range(layout.n_regions):
        letter = chr(ord("A") + region)
        x, y = where[layout.regions == region].T
        axes.scatter(x, y, s=30, color="0.55", marker=f"${letter}$", linewidths=0.3)
    rates = np.array([preview.rates_hz.get(channel, 0.0) for channel in sensory])
    top = max((code.max_rate_hz for code in preview.codes), default=max(1.0, float(rates.max(initial=0))))
    size = min(260.0, 5200 / max(1, len(sensory)))
    dots = axes.scatter(
        where[sensory, 0], where[sensory, 1], s=size, c=rates, cmap="cividis", vmin=0, vmax=top,
        edgecolors="black", linewidths=0.6,
    )  # fmt: skip
    for place, (channel, rate_hz) in enumerate(zip(sensory, rates, strict=True)):
        ink = "black" if rate_hz > 0.5 * top else "white"
        axes.annotate(str(place), where[channel], ha="center", va="center", fontsize=7, color=ink)
    axes.figure.colorbar(dots, ax=axes, label="rate (Hz)", shrink=0.8)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set(title="Electrodes: sensory by number", xlabel="x (um)", ylabel="y (um)")


def _draw_raster(axes: Axes, preview: Preview) -> None:
    """Draw the pulses of the next second, one line for each sensory electrode."""
    from matplotlib.ticker import MaxNLocator

    setting, pulses = preview.setting, preview.pulses
    place = {channel: k for k, channel in enumerate(setting.layout.sensory)}
    at_ms = (pulses["sample_index"] - preview.start_sample) / setting.info.sampling_frequency * 1000
    rows = [
        (ms, place[channel], fate == DELIVERED)
        for ms, pattern, fate in zip(at_ms, pulses["pattern"], pulses["fate"], strict=True)
        for channel in setting.table.patterns[pattern].channels
        if channel in place
    ]
    size = max(12, 1600 / max(8, len(place)))
    counts = []
    for delivered, colour, mark, name in ((True, "black", "|", "delivered"), (False, RED, "x", "not (crosses)")):
        x, y = [ms for ms, _, fate in rows if fate == delivered], [k for _, k, fate in rows if fate == delivered]
        axes.scatter(x, y, marker=mark, s=size, color=colour)
        counts += [f"{len(x)} {name}"] if x or delivered else []
    axes.set(xlim=(0, 1000), ylim=(len(place) - 0.4, -0.6), xlabel="time from the program's start (ms)")
    axes.set(ylabel="sensory electrode", title=f"Pulses of the next second, timed by the engine: {', '.join(counts)}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", color="0.9")
