"""Avalanche sizes against the power law of critical branching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetloop.analysis.avalanches import avalanches, branching_ratio, exponent
from wetloop.analysis.measures import log_density
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import COLOURS, INK, Panel, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

PER_DECADE = 8
REFERENCE = 1.5


@dataclass(frozen=True)
class CascadeNumbers(Numbers):
    """Avalanches: exponents of size and duration (maximum likelihood from 1 on), branching ratio, size distribution."""

    avalanches: int
    bin_ms: float
    size_exponent: float
    duration_exponent: float
    branching_ratio: float
    sizes: Columns


def measure(session: Material) -> CascadeNumbers:
    """Return the avalanches in bins of the array's mean interval between spikes."""
    found = avalanches(session.activity)
    centre, density = log_density(found.sizes.astype(float), PER_DECADE)
    return CascadeNumbers(
        avalanches=len(found.sizes),
        bin_ms=1000 * found.bin_s,
        size_exponent=exponent(found.sizes),
        duration_exponent=exponent(found.durations),
        branching_ratio=branching_ratio(found),
        sizes={"size_spikes": centre, "density_per_spike": density},
    )


def draw(numbers: CascadeNumbers) -> Figure:
    """Draw the density of sizes, and the slope of critical branching."""
    figure, (axes,) = new_figure()
    size, density = numbers.sizes["size_spikes"], numbers.sizes["density_per_spike"]
    axes.plot(size, density, "o", color=COLOURS[0], markersize=4, label="avalanches")
    axes.plot(
        size, density[0] * (size / size[0]) ** -REFERENCE, "--", color=INK, label=f"exponent {REFERENCE} (critical)"
    )
    logarithmic(axes, "xy")
    axes.set(xlabel="size of an avalanche (spikes)", ylabel="density (per spike)")
    axes.legend()
    return figure


def panel(session: Material) -> Panel:
    """Return the figure of avalanches."""
    numbers = measure(session)
    return Panel(
        "avalanches",
        "Avalanche sizes",
        f"{worded(numbers.avalanches)} avalanches (Beggs and Plenz 2003): runs of bins with spikes; the bin is the "
        f"array's mean interval between spikes, {worded(numbers.bin_ms)} ms. Exponent by maximum likelihood (Clauset "
        f"et al. 2009) {worded(numbers.size_exponent)} for sizes, {worded(numbers.duration_exponent)} for durations; "
        f"branching ratio {worded(numbers.branching_ratio)}, which an array that sees few of the cells makes smaller. "
        "An exponent alone proves no criticality.",
        numbers,
        lambda: draw(numbers),
        "" if numbers.avalanches else "No spike was recorded.",
    )
