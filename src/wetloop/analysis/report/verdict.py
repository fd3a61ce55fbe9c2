"""Who learns: what an experiment says of its arms, as registered before its first run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.style import COLOURS, INK, Panel, new_figure
from wetloop.experiments import statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from wetloop.experiments import Experiment
    from wetloop.experiments.effects import Estimate
    from wetloop.experiments.results import Comparison, Test

ROOM_PER_ARM_IN = 0.32
DEVIATES = "deviation from what was registered"


@dataclass(frozen=True)
class VerdictNumbers(Numbers):
    """What an experiment says; ``contrasts`` has a row per metric and arm, ``arms`` too, ``notes`` one per remark."""

    name: str
    registered: str
    sha256: str
    reference: str
    control: str
    primary: str
    alpha: float
    verdict: str
    contrasts: Columns
    arms: Columns
    published: Columns
    notes: Columns


def measure(experiment: Experiment) -> VerdictNumbers:
    """Return the statistics of the experiment (``experiments.statistics.compare``) as tables."""
    told = statistics.compare(experiment)
    return VerdictNumbers(
        name=told.name,
        registered=experiment.registered,
        sha256=experiment.sha256,
        reference=told.reference,
        control=told.control,
        primary=told.primary,
        alpha=told.alpha,
        verdict=told.verdict,
        contrasts=_contrasts(told),
        arms=_arms(told),
        published=_published(told),
        notes=_notes(told),
    )


def _contrasts(told: Comparison) -> Columns:
    rows = [
        {
            "metric": each.metric,
            "arm": each.condition,
            "against": each.against,
            "claim": each.claim,
            "cultures": each.cultures,
            "paired": each.paired,
            **_estimate("difference", each.difference),
            **_estimate("hedges_g", each.hedges_g),
            **_estimate("cliffs_delta", each.cliffs_delta),
            **_test("interaction", each.interaction),
            **_test("late", each.late),
            "power_now": _number(each.power_now),
            "cultures_needed": _number(each.cultures_needed),
        }
        for each in told.contrasts
    ]
    return _columns(rows, ("metric", "arm", "against"))


def _arms(told: Comparison) -> Columns:
    rows = [
        {
            "metric": each.metric,
            "arm": each.condition,
            "cultures": each.cultures,
            "runs": each.runs,
            **_estimate("early", each.early),
            **_estimate("late", each.late),
            **_estimate("change", each.change),
            "rose": each.rose,
            "fell": each.fell,
            **_test("within", each.within),
        }
        for each in told.arms
    ]
    return _columns(rows, ("metric", "arm"))


def _published(told: Comparison) -> Columns:
    rows = [
        {
            "arm": each.arm,
            "metric": each.metric,
            "window": each.window,
            **_estimate("ours", each.ours),
            "ours_is": told.ours,
            "published": _number(each.published),
            "says": each.says,
            "source": each.source,
        }
        for each in told.published
    ]
    return _columns(rows, ("arm", "metric", "window", "says", "source"))


def _notes(told: Comparison) -> Columns:
    rows = [{"about": DEVIATES, "note": note} for note in told.deviations]
    rows += [{"about": f"{arm} is flat by construction", "note": why} for arm, why in told.flat.items()]
    rows += [{"about": f"arm {arm} was left out", "note": why} for arm, why in told.left_out_arms.items()]
    rows += [{"about": f"run {run} was left out", "note": why} for run, why in told.left_out_runs.items()]
    return _columns(rows, ("about", "note"))


def _columns(rows: Sequence[dict[str, Any]], names_if_empty: tuple[str, ...]) -> Columns:
    names = rows[0] if rows else dict.fromkeys(names_if_empty)
    return {name: np.array([row[name] for row in rows]) for name in names}


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{end}": _number(value) for end, value in ends.items()}


def _test(name: str, test: Test | None) -> dict[str, Any]:
    if test is None:
        return {f"{name}_test": "none", f"{name}_p": float("nan"), f"{name}_corrected_p": float("nan")}
    return {f"{name}_test": test.name, f"{name}_p": test.p, f"{name}_corrected_p": test.corrected_p}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def who_learns(told: VerdictNumbers) -> Columns:
    """Return the report's first table: the reference against every arm, in the primary metric."""
    rows = told.contrasts
    chosen = rows["metric"] == told.primary
    wanted = {
        "reference against": "against",
        "the claim": "claim",
        "cultures": "cultures",
        "difference of changes": "difference",
        "from": "difference_low",
        "to": "difference_high",
        "Hedges' g": "hedges_g",
        "p (group x time)": "interaction_p",
        "corrected p": "interaction_corrected_p",
        "cultures for 80 % power": "cultures_needed",
    }
    return {title: rows[name][chosen] for title, name in wanted.items() if name in rows}


def draw(told: VerdictNumbers) -> Figure:
    """Draw the change of every arm in the primary metric, with its interval."""
    chosen = told.arms["metric"] == told.primary
    arms, change = told.arms["arm"][chosen], told.arms["change"][chosen]
    low, high = told.arms["change_low"][chosen], told.arms["change_high"][chosen]
    figure, (axes,) = new_figure(height_in=1.2 + ROOM_PER_ARM_IN * len(arms))
    rows = range(len(arms))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.hlines(rows, low, high, color=COLOURS[0], linewidth=2)
    axes.plot(change, rows, "o", color=COLOURS[0])
    axes.set_yticks(rows, list(arms))
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_xlabel(f"change of {told.primary.replace('_', ' ')}, late less early")
    return figure


def panel(told: VerdictNumbers) -> Panel:
    """Return the figure of the arms' changes."""
    known = bool(len(told.arms.get("change", ()))) and not np.isnan(told.arms["change"].astype(float)).all()
    return Panel(
        "change",
        "Change in every arm",
        f"Mean change of {told.primary.replace('_', ' ')} over cultures, with its 95 % interval where there are "
        "enough.",
        told,
        lambda: draw(told),
        "" if known else "No arm has a culture with a value in both windows.",
    )
