"""How figures look: small enough for a phone, in colours that the colour-blind tell apart, on light and dark pages.

Ink and grid are drawn in two colours that nothing else uses; on the page they become CSS variables, so that a figure
follows the page's theme.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.numbers import Numbers

WIDTH_IN, HEIGHT_IN = 4.9, 3.1
INK, GRID = "#1b1c1d", "#d2d3d4"
SPIKES = "#6b7f99"
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#999933", "#44a5c2", "#bb5500", "#777777")
"""Hues of Paul Tol's bright scheme, some darkened or lightened for contrast on white and on near-black."""
KIND_COLOURS = {"sensory": "#4477aa", "predictable": "#228833", "random": "#ee6677", "reflex": "#aa3377"}
KIND_MARKERS = {"sensory": "|", "predictable": "^", "random": "x", "reflex": "D"}
MAP = "cividis"
LINES = ("-", "--", "-.", ":")
RASTER_DPI = 200

SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.dpi": RASTER_DPI,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Panel(NamedTuple):
    """One figure of the report.

    Attributes
    ----------
    name, title, caption
        Name of its files, what it shows, and how to read it, with every parameter.
    numbers
        What it is drawn from.
    draw
        Makes the figure.
    empty
        Why there is nothing to draw; empty where there is.
    """

    name: str
    title: str
    caption: str
    numbers: Numbers
    draw: Callable[[], Figure]
    empty: str = ""


def new_figure(rows: int = 1, *, height_in: float = HEIGHT_IN, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes from the top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, **options)
    return figure, list(axes[:, 0])


def logarithmic(axes: Axes, sides: str = "x") -> None:
    """Make axes logarithmic with plain numbers at the decades, since no text is taken for a formula."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for side in sides:
        axes.set(**{f"{side}scale": "log"})
        axis = axes.xaxis if side == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_major_formatter(decade)
        axis.set_minor_formatter(NullFormatter())


def decade(value: float, _position: object = None) -> str:
    """Return a tick's label: 0.01, 1, 1,000, then 1e6."""
    return f"{value:g}" if not 1e3 <= value < 1e6 else f"{value:,.0f}"


def inline_svg(panel: Panel) -> str:
    """Return the figure as SVG for a page: no names that could clash, no addresses, colours of the page's theme."""
    text = _svg(panel, transparent=True)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(r'\sid="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r'(<svg)[^>]*?(viewBox="[^"]*")[^>]*>', r'\1 \2 role="img">', text, count=1)
    return text.replace(INK, "var(--ink)").replace(GRID, "var(--grid)")


def write_files(panel: Panel, folder: Path) -> list[str]:
    """Write the figure as PNG and SVG, on white; return the files."""
    import matplotlib as mpl

    paths = [folder / f"{panel.name}.{ending}" for ending in ("png", "svg")]
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": panel.name}):
        figure = panel.draw()
        figure.savefig(paths[0], facecolor="white", dpi=RASTER_DPI)
        figure.savefig(paths[1], facecolor="white", metadata={"Date": None})
    return [str(path) for path in paths]


def _svg(panel: Panel, *, transparent: bool) -> str:
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": panel.name}):
        panel.draw().savefig(written, format="svg", transparent=transparent, metadata={"Date": None})
    return written.getvalue()
