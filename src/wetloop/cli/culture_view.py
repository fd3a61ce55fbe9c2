"""The statistics of simulated cultures as plain values and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.activity import burstiness_index, network_bursts, rest_statistics, time_in_bursts
from wetloop.analysis.avalanches import avalanches, branching_ratio, exponent
from wetloop.analysis.real_cultures import CORTEX_DIV_21, N_RECORDINGS
from wetloop.cli.render import facts, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from wetloop.analysis.culture_trial import Trial

NAMES = {
    "median_rate_hz": "median electrode, Hz",
    "mean_rate_hz": "mean electrode, Hz",
    "bursts_per_min": "network bursts per min",
    "burst_duration_s": "duration of a burst, s",
    "share_in_bursts": "share of spikes in bursts",
    "burst_interval_cv": "CV of intervals between bursts",
}


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return medians over cultures, and which lie inside the inter-quartile range of the real ones."""
    at_rest = [rest_statistics(trial.rest).to_dict() for trial in trials]
    rows = {name: _row(name, [statistics[name] for statistics in at_rest]) for name in CORTEX_DIV_21}
    return {
        "cultures": len(trials),
        "at_rest": rows,
        "passed": sum(row["inside"] for row in rows.values()),
        "cells": _medians([_cells(trial) for trial in trials]),
        "stimulated": _medians([_stimulated(trial) for trial in trials]),
        "evoked": _medians([trial.evoked.to_dict() for trial in trials]),
        "avalanches": _medians([_avalanches(trial) for trial in trials]),
        "memory_mb": trials[0].memory_mb,
    }


def culture_view(result: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield what ``summary`` found as tables."""
    view = table(
        "at rest", "culture>", "quartiles>", "real median>", "real quartiles>", "inside",
        title=f"{result['cultures']} simulated, {N_RECORDINGS} real (mouse cortex, 21 days in vitro)",
    )  # fmt: skip
    for name, row in result["at_rest"].items():
        real = CORTEX_DIV_21[name]
        own = f"{row['lower']:.3g} to {row['upper']:.3g}"
        spread = f"{real.lower:.3g} to {real.upper:.3g}"
        verdict = "yes" if row["inside"] else "NO"
        view.add_row(NAMES[name], f"{row['median']:.3g}", own, f"{real.median:.3g}", spread, verdict)
    yield view
    for part in ("cells", "stimulated", "evoked", "avalanches"):
        yield facts(part, {name.replace("_", " "): value for name, value in result[part].items()})
    yield f"{result['passed']} of {len(result['at_rest'])} inside; {result['memory_mb']:.1f} MB each"


def _row(name: str, values: list[float]) -> dict[str, Any]:
    known = [value for value in values if not np.isnan(value)] or [np.nan]
    lower, median, upper = (float(v) for v in np.percentile(known, (25, 50, 75)))
    return {"lower": lower, "median": median, "upper": upper, "inside": CORTEX_DIV_21[name].holds(median)}


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def _cells(trial: Trial) -> dict[str, float]:
    e, i = trial.excitatory_hz, trial.inhibitory_hz
    return {"excitatory_hz": e, "inhibitory_hz": i, "inhibitory_over_excitatory": i / e if e else float("nan")}


def _stimulated(trial: Trial) -> dict[str, float]:
    """Return network bursts under distributed stimulation beside those at rest."""
    before, during = trial.rest, trial.stimulated
    rest = rest_statistics(before).bursts_per_min
    stimulated = 60 * len(network_bursts(during).start_s) / during.duration_s
    return {
        "bursts_per_min_at_rest": rest,
        "bursts_per_min": stimulated,
        "ratio": stimulated / rest if rest else float("nan"),
        "share_in_bursts": rest_statistics(during).share_in_bursts,
        "time_in_bursts_at_rest": time_in_bursts(before),
        "time_in_bursts": time_in_bursts(during),
        "burstiness_index_at_rest": burstiness_index(before),
        "burstiness_index": burstiness_index(during),
    }


def _avalanches(trial: Trial) -> dict[str, float]:
    found = avalanches(trial.rest)
    return {
        "bin_ms": 1000 * found.bin_s,
        "size_exponent": exponent(found.sizes),
        "duration_exponent": exponent(found.durations),
        "branching_ratio": branching_ratio(found),
    }
