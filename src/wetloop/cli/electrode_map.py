"""The electrode array as text: sensory electrodes numbered, motor regions as letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from wetloop.core.layout import positions_um

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.assembly import Setting
    from wetloop.core.layout import Layout

MAX_COLUMNS, MAX_ROWS = 40, 32
UNUSED, BLOCKED = ".", "x"
STYLES = {UNUSED: "dim", BLOCKED: "red", "A": "cyan", "B": "green"}


def electrode_map(setting: Setting) -> Text:
    """Return the map of a session's electrodes with its legend."""
    blocked = np.isnan(setting.info.gain_uv)
    blocked[[c for c in setting.limits.forbidden_channels if c < len(blocked)]] = True
    text = Text("Electrodes\n", style="bold")
    for row in cells(positions_um(setting.info.probe), labels(setting.layout, blocked)):
        for label in row:
            text.append(f"{label:>3}", STYLES.get(label, "bold yellow" if label else ""))
        text.append("\n")
    return text.append("numbers: sensory, A and B: motor regions, .: unused, x: never used\n", "dim")


def labels(layout: Layout, blocked: npt.NDArray[np.bool_]) -> list[str]:
    """Return the label of each channel."""
    named = [chr(ord("A") + region) if region >= 0 else UNUSED for region in layout.regions.tolist()]
    for place, channel in enumerate(layout.sensory):
        named[channel] = str(place)
    return [BLOCKED if off else label for label, off in zip(named, blocked, strict=True)]


def cells(where: npt.NDArray[np.float64], named: list[str]) -> list[list[str]]:
    """Return rows of labels, from the upper edge down; of channels in one cell the rarest label shows."""
    column, row = _bins(where[:, 0], MAX_COLUMNS), _bins(where[:, 1], MAX_ROWS)
    grid = [[""] * (column.max() + 1) for _ in range(row.max() + 1)]
    commonness = {label: named.count(label) for label in set(named)}
    for channel in sorted(range(len(named)), key=lambda c: -commonness[named[c]]):
        grid[row[channel]][column[channel]] = named[channel]
    return grid


def _bins(coordinate: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.int64]:
    """Return the index of each coordinate among the distinct ones, coarser where there are too many."""
    distinct, index = np.unique(np.round(coordinate, 3), return_inverse=True)
    if len(distinct) <= most:
        return index.astype(np.int64)
    span = float(np.ptp(coordinate))
    share = (coordinate - float(coordinate.min())) / span
    return np.asarray(np.minimum(most - 1, share * most), np.int64)
