"""An experiment as tables: what is planned, and what was found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from wetloop.cli.render import facts, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from wetloop.experiments import Experiment

Result = dict[str, Any]


def plan_result(plan: Mapping[str, Any]) -> Result:
    """Return what a plan comes to; which run belongs to which arm stays out of sight."""
    from wetloop.experiments.flat import flat_by_construction

    runs = plan["runs"]
    return {
        "name": plan["protocol"]["name"],
        "question": plan["protocol"]["question"],
        "runs": len(runs),
        "arms": list(plan["arms"]),
        "cultures": len({run["culture"] for run in runs}),
        "layouts": dict(Counter(run["layout"] for run in runs)),
        "windows_s": plan["windows_s"],
        "metrics": plan["protocol"]["metrics"],
        "tests": plan["tests"],
        "flat": flat_by_construction(plan),
        "left_out": plan["left_out"],
    }


def plan_view(result: Result) -> Iterator[RenderableType]:
    """Yield what would be run."""
    shown = ("question", "runs", "arms", "cultures", "layouts", "metrics")
    yield facts(f"Experiment {result['name']}", {name: result[name] for name in shown})
    yield from ("", "Tests, fixed before the first run:", *(f"  {words}" for words in result["tests"]))
    yield from _listed("Arms that cannot learn, by construction:", result["flat"])
    yield from _listed("Left out:", result["left_out"])


def result_of(experiment: Experiment) -> Result:
    """Return what an experiment came to."""
    from wetloop.experiments.statistics import compare

    facts = {"folder": str(experiment.folder), "registered": experiment.registered, "sha256": experiment.sha256}
    runs = {"planned": len(experiment.planned), "finished": len(experiment.runs)}
    return facts | {"runs": runs} | compare(experiment).to_dict()


def result_view(result: Result) -> Iterator[RenderableType]:
    """Yield what was found: the claim first, then arms and contrasts of each metric, then what to know of them."""
    told = ("folder", "registered", "sha256")
    runs = f"{result['runs']['finished']} of {result['runs']['planned']}"
    yield facts(f"Experiment {result['name']}", {name: result[name] for name in told} | {"runs": runs})
    yield from ("", result["verdict"])
    for metric in dict.fromkeys(arm["metric"] for arm in result["arms"]):
        yield from ("", _arms_table(metric, [arm for arm in result["arms"] if arm["metric"] == metric]))
        yield _contrasts_table([each for each in result["contrasts"] if each["metric"] == metric])
    if result["published"]:
        yield from ("", f"Ours is {result['ours']}.", _published_table(result["published"]))
    yield from _listed("Arms that cannot learn, by construction:", result["flat"])
    yield from _listed("Arms left out:", result["left_out_arms"])
    yield from _listed("Runs left out:", result["left_out_runs"])
    yield from (
        "",
        "Deviations from what was registered:",
        *(f"  {words}" for words in result["deviations"] or ["none"]),
    )


def _arms_table(metric: str, arms: Sequence[Mapping[str, Any]]) -> RenderableType:
    made = table(
        "arm",
        "cultures>",
        "early>",
        "late>",
        "change [95 %]>",
        "rose>",
        "fell>",
        "p within>",
        "corrected>",
        title=metric,
    )
    for arm in arms:
        p, corrected = _p(arm["within"])
        values = (_value(arm["early"]), _value(arm["late"]), _interval(arm["change"]))
        made.add_row(arm["condition"], str(arm["cultures"]), *values, str(arm["rose"]), str(arm["fell"]), p, corrected)
    return made


def _contrasts_table(contrasts: Sequence[Mapping[str, Any]]) -> RenderableType:
    columns = ("more change [95 %]>", "p>", "corrected>", "g [95 %]>", "Cliff's delta>", "late p>", "needed>", "")
    made = table("against", *columns)
    for each in contrasts:
        p, corrected = _p(each["interaction"])
        sizes = (_interval(each["hedges_g"]), _value(each["cliffs_delta"]), _p(each["late"])[1])
        needed = "-" if each["cultures_needed"] is None else str(each["cultures_needed"])
        mark = "the claim" if each["claim"] else ""
        made.add_row(each["against"], _interval(each["difference"]), p, corrected, *sizes, needed, mark)
    return made


def _published_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    made = table("arm", "metric", "window", "ours>", "published>", "what was found there", "source", title="Published")
    for row in rows:
        published = "-" if row["published"] is None else f"{row['published']:g}"
        made.add_row(
            row["arm"], row["metric"], row["window"], _interval(row["ours"]), published, row["says"], row["source"]
        )
    return made


def _listed(title: str, reasons: Mapping[str, str]) -> Iterator[str]:
    if reasons:
        yield from ("", title, *(f"  {name}: {why}" for name, why in reasons.items()))


def _value(estimate: Mapping[str, float | None]) -> str:
    return "-" if estimate["value"] is None else f"{estimate['value']:.3g}"


def _interval(estimate: Mapping[str, float | None]) -> str:
    if estimate["low"] is None or estimate["high"] is None:
        return _value(estimate)
    return f"{_value(estimate)} [{estimate['low']:.3g}, {estimate['high']:.3g}]"


def _p(test: Mapping[str, Any] | None) -> tuple[str, str]:
    return ("-", "-") if test is None else (f"{test['p']:.3g}", f"{test['corrected_p']:.3g}")
