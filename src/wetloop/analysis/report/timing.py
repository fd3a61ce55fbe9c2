"""How long the engine takes for a block, and how late decisions are, against their deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import COLOURS, INK, Panel, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

    Floats = npt.NDArray[np.float64]

EDGES_US = np.logspace(-1, 6, 71)
QUANTILES = (0.5, 0.99, 1.0)


@dataclass(frozen=True)
class TimingNumbers(Numbers):
    """Times on the host's clock, us; NaN of what was not measured.

    ``compute`` is the engine's time per block, ``response`` from the arrival of a block until it is done, ``lateness``
    from the end of a decision's window until the decision begins. The last two exist in real time only.
    """

    blocks: int
    block_us: float
    compute_p50_us: float
    compute_p99_us: float
    compute_max_us: float
    response_p50_us: float
    response_p99_us: float
    response_max_us: float
    lateness_p50_us: float
    lateness_p99_us: float
    lateness_max_us: float
    late_decisions: int
    late_after_us: float
    lost_samples: int
    histogram: Columns


def measure(session: Material) -> TimingNumbers:
    """Return the distributions in ten bins per decade."""
    blocks, lateness = session.blocks, session.decisions["lateness_us"].astype(float)
    compute = (blocks["done_ns"] - blocks["start_ns"]) / 1000
    arrived = blocks["arrival_ns"] > 0
    response = ((blocks["done_ns"] - blocks["arrival_ns"]) / 1000)[arrived]
    lateness = lateness if lateness.any() else np.zeros(0)
    times = {"compute": compute, "response": response, "lateness": lateness}
    samples = float(np.median(blocks["n_samples"])) if len(blocks) else 0.0
    return TimingNumbers(
        blocks=len(blocks),
        block_us=1e6 * samples / session.info.sampling_frequency,
        **{f"{name}_{q}_us": value for name, of in times.items() for q, value in _quantiles(of).items()},
        late_decisions=int((lateness > session.info.late_us).sum()),
        late_after_us=session.info.late_us,
        lost_samples=int(blocks["lost_samples"].sum()),
        histogram={
            "from_us": EDGES_US[:-1],
            "to_us": EDGES_US[1:],
            **{name: np.histogram(of.clip(EDGES_US[0]), EDGES_US)[0] for name, of in times.items()},
        },
    )


def _quantiles(times_us: Floats) -> dict[str, float]:
    values = np.quantile(times_us, QUANTILES) if len(times_us) else np.full(len(QUANTILES), np.nan)
    return dict(zip(("p50", "p99", "max"), values.tolist(), strict=True))


def draw(numbers: TimingNumbers) -> Figure:
    """Draw the engine's time per block; in real time also the lateness of decisions."""
    real_time = bool(numbers.histogram["response"].any())
    figure, axes = new_figure(2 if real_time else 1, height_in=4.4 if real_time else 3.1, sharex=True)
    made = numbers.histogram
    _steps(axes[0], made["compute"], "computation", COLOURS[0], "-")
    if real_time:
        _steps(axes[0], made["response"], "arrival to done", COLOURS[1], "--")
        _steps(axes[1], made["lateness"], "lateness of a decision", COLOURS[3], "-")
        _deadline(axes[1], numbers.late_after_us, "counted as late")
        axes[1].set_ylabel("decisions")
        axes[1].legend()
    _deadline(axes[0], numbers.block_us, "length of a block")
    axes[0].set_ylabel("blocks")
    axes[0].legend()
    axes[-1].set_xlabel("time (µs)")
    return figure


def _steps(axes: Axes, counts: npt.NDArray[np.int64], label: str, colour: str, line: str) -> None:
    axes.stairs(counts, EDGES_US, color=colour, linestyle=line, label=label)
    logarithmic(axes, "xy")
    axes.set_ylim(bottom=0.7)
    axes.set_xlim(EDGES_US[0], EDGES_US[-1])


def _deadline(axes: Axes, at_us: float, label: str) -> None:
    if at_us > 0:
        axes.axvline(at_us, color=INK, linestyle=":", linewidth=1.2, label=label)


def panel(session: Material) -> Panel:
    """Return the figure of the loop's timing."""
    numbers = measure(session)
    told = (
        f"Decisions were late by {worded(numbers.lateness_p50_us)} µs (median), {worded(numbers.lateness_p99_us)} µs "
        f"(99th percentile); {worded(numbers.late_decisions)} were more than {worded(numbers.late_after_us)} µs late."
        if numbers.histogram["lateness"].any()
        else "The session did not run in real time, so no decision could be late."
    )
    return Panel(
        "timing",
        "Timing of the loop",
        f"Time of the engine per block of {worded(numbers.block_us)} µs, which is its deadline: median "
        f"{worded(numbers.compute_p50_us)} µs, 99th percentile {worded(numbers.compute_p99_us)} µs, at most "
        f"{worded(numbers.compute_max_us)} µs. {told} Counts are on a logarithmic scale.",
        numbers,
        lambda: draw(numbers),
        "" if numbers.blocks else "No block was recorded.",
    )
