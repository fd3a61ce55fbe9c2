"""What pulses evoke: the array's rate around the pulses of each site and kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.measures import first_of_trains, psth
from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import INK, KIND_COLOURS, LINES, MAP, Panel, new_figure
from wetloop.kernels.records import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

BEFORE_S, AFTER_S, BIN_S, GAP_S = 0.05, 0.2, 0.005, 0.05
MOST_SITES = 32
SHOWN_SHARE = 0.97
EDGES_S = np.round(np.arange(-BEFORE_S, AFTER_S + BIN_S / 2, BIN_S), 6)


@dataclass(frozen=True)
class AnswerNumbers(Numbers):
    """Rates around pulses.

    ``sites`` has a row per pattern: its electrodes, kind and pulses; ``kind_rates`` and ``site_rates`` a row per bin of
    latency.
    """

    bin_ms: float
    least_gap_ms: float
    sites: Columns
    kind_rates: Columns
    site_rates: Columns


def measure(session: Material) -> AnswerNumbers:
    """Return the PSTH of each pattern that was delivered, and of each kind."""
    pulses, names = session.delivered, list(session.patterns)
    times_s = session.since_start_s(pulses["sample_index"])
    used = sorted(set(zip(pulses["pattern"].tolist(), pulses["kind"].tolist(), strict=True)))
    onsets = [first_of_trains(times_s[(pulses["pattern"] == p) & (pulses["kind"] == k)], GAP_S) for p, k in used]
    rates = [psth(session.activity, each, EDGES_S) for each in onsets]
    kinds = sorted({kind for _, kind in used})
    by_kind = [np.sort(np.concatenate([o for o, u in zip(onsets, used, strict=True) if u[1] == k])) for k in kinds]
    electrodes = [" ".join(map(str, session.patterns[names[p]].channels)) for p, _ in used]
    return AnswerNumbers(
        bin_ms=1000 * BIN_S,
        least_gap_ms=1000 * GAP_S,
        sites={
            "pattern": np.array([names[p] for p, _ in used], str),
            "kind": np.array([KINDS[k] for _, k in used], str),
            "channel_indices": np.array(electrodes, str),
            "pulses": np.array([len(each) for each in onsets], np.int64),
        },
        kind_rates=_long("kind", [KINDS[k] for k in kinds], [psth(session.activity, o, EDGES_S) for o in by_kind]),
        site_rates=_long("pattern", [names[p] for p, _ in used], rates),
    )


def _long(label: str, names: list[str], rates: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Columns:
    n_bins = len(EDGES_S) - 1
    return {
        label: np.repeat(np.array(names, str), n_bins),
        "latency_ms": np.tile(np.round(1000 * EDGES_S[:-1], 3), len(names)),
        "rate_per_electrode_hz": np.concatenate(rates) if rates else np.zeros(0),
    }


def draw(numbers: AnswerNumbers) -> Figure:
    """Draw the kinds as lines above the sites as a map."""
    figure, (top, below) = new_figure(2, height_in=5.0, sharex=True, height_ratios=[1, 1.5])
    n_bins = len(EDGES_S) - 1
    rates = numbers.kind_rates["rate_per_electrode_hz"].reshape(-1, n_bins)
    for name, rate, line in zip(numbers.kind_rates["kind"][::n_bins], rates, LINES, strict=False):
        top.stairs(rate, 1000 * EDGES_S, baseline=None, color=KIND_COLOURS[name], linestyle=line, label=name)
    top.set_ylabel("rate per\nelectrode (Hz)")
    top.set_ylim(bottom=0)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    _draw_sites(below, numbers, n_bins)
    return figure


def _draw_sites(axes: Axes, numbers: AnswerNumbers, n_bins: int) -> None:
    rates = numbers.site_rates["rate_per_electrode_hz"].reshape(-1, n_bins)[:MOST_SITES]
    rows = np.arange(len(rates) + 1)
    largest = max(0.1, float(np.quantile(rates, SHOWN_SHARE)))
    mesh = axes.pcolormesh(1000 * EDGES_S, rows, rates, cmap=MAP, vmin=0, vmax=largest, rasterized=True)
    labels = [f"{name} ({n})" for name, n in zip(numbers.sites["pattern"], numbers.sites["pulses"], strict=True)]
    axes.set_yticks(rows[:-1] + 0.5, labels[: len(rates)], fontsize=7)
    axes.set_ylim(len(rates), 0)
    axes.grid(visible=False)
    axes.set_xlabel("time after the pulse (ms)")
    axes.axvline(0, color="white", linewidth=0.8)
    axes.tick_params("y", length=0)
    bar = axes.figure.colorbar(mesh, ax=axes, aspect=30, extend="max")
    bar.set_label("rate per electrode (Hz)", color=INK)


def panel(session: Material) -> Panel:
    """Return the figure of answers to pulses."""
    numbers = measure(session)
    left_out = len(numbers.sites["pulses"]) - MOST_SITES
    return Panel(
        "psth",
        "Answers to pulses, by site",
        f"Peristimulus rate of the whole array in bins of {worded(numbers.bin_ms)} ms; above, by kind of pulse; below, "
        "by stimulated site (pulses in brackets; colours end at the 97th percentile). A pulse that followed another of "
        f"its site within {worded(numbers.least_gap_ms)} ms is not counted, so of a train mostly the first is. Pulses "
        "of other sites may fall into the window."
        + (f" {left_out} more sites are in the numbers only." if left_out > 0 else ""),
        numbers,
        lambda: draw(numbers),
        "" if len(numbers.sites["pulses"]) else "No pulse was delivered.",
    )
