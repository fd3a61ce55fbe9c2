"""``wetloop compare``: sessions side by side, and what each control condition rules out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from wetloop.recording.score import Score

SAME_FOR_ALL = ("decision_ms", "source", "task", "layout", "encoder", "decoder", "feedback")
"""Settings that sessions should share if only their condition is to differ."""
MOST_SHOWN = 8
FITTED = (
    "A fitted decoder was taught by recordings: its score tells what the activity holds, not that a culture learned."
)
AVERAGED = ("reward_per_min", "mean_hits", "mean_episode_s")
BY = ("task", "condition", "decoder", "decoder_fitted")


def compare(
    files: Annotated[list[Path], typer.Argument(help="Recordings (NWB).")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Compare sessions: who plays, the cells or the machine? Exit code 1 if they are not of one task."""
    from wetloop.cli.output import echo_json
    from wetloop.conditions import RULES_OUT
    from wetloop.recording.score import score

    scores, configs = zip(*map(score, files), strict=True)
    tasks = list(dict.fromkeys(each.task for each in scores))
    result = {
        "comparable": len(tasks) == 1,
        "tasks": tasks,
        "recordings": [each.to_dict() for each in scores],
        "conditions": list(grouped(scores)),
        "settings_that_differ": differences(configs),
        "rules_out": {name: RULES_OUT[name] for name in {s.condition: 0 for s in scores} if name in RULES_OUT},
    }
    if json:
        echo_json(result)
    else:
        _show(result)
    raise typer.Exit(0 if result["comparable"] else 1)


def grouped(scores: "Sequence[Score]") -> Iterator[dict[str, Any]]:
    """Yield the mean and standard deviation over the sessions of each task, condition and decoder."""
    groups: dict[tuple[object, ...], list[Score]] = {}
    for each in scores:
        groups.setdefault(tuple(getattr(each, name) for name in BY), []).append(each)
    for key, members in groups.items():
        averages = {name: _mean_and_sd([getattr(member, name) for member in members]) for name in AVERAGED}
        yield {**dict(zip(BY, key, strict=True)), "sessions": len(members), **averages}


def _mean_and_sd(values: list[float | None]) -> dict[str, float | None]:
    from statistics import fmean, stdev

    known = [value for value in values if value is not None]
    return {"mean": fmean(known) if known else None, "sd": stdev(known) if len(known) > 1 else None}


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings beside the condition in which the sessions differ, with each session's value."""
    flat = [dict(_leaves({name: config.get(name) for name in SAME_FOR_ALL})) for config in configs]
    names = dict.fromkeys(name for each in flat for name in each)
    values = {name: [each.get(name) for each in flat] for name in names if not name.startswith("decoder.weights.")}
    return {name: given for name, given in values.items() if any(value != given[0] for value in given)}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _show(result: dict[str, Any]) -> None:
    from wetloop.cli.output import show, worded

    show(_sessions_view(result["recordings"]))
    if len(result["conditions"]) < len(result["recordings"]):
        show("", _groups_view(result["conditions"]))
    if not result["comparable"]:
        show("", f"These sessions are of different tasks ({', '.join(result['tasks'])}): do not compare their scores.")
    for name, values in list(result["settings_that_differ"].items())[:MOST_SHOWN]:
        show(f"Beside the condition, {name} differs: {', '.join(map(worded, values))}")
    if any(row["decoder_fitted"] for row in result["recordings"]):
        show("", FITTED)
    if result["rules_out"]:
        show("", "What a clearly better score of stimulus than of a control rules out:")
        show(*(f"  {name}: {sentence}" for name, sentence in result["rules_out"].items()))


def _sessions_view(rows: list[dict[str, Any]]) -> "Table":
    from wetloop.cli.output import worded
    from wetloop.cli.render import table

    columns = ("condition", "task", "seed>", "in play>", "min>", "reward/min>", "episodes>", "hits each>", "s each>")
    view = table(*columns, "decoder", "fitted", "pulses>", "events/min", title="Sessions")
    for row in rows:
        events = ", ".join(f"{name} {rate:.3g}" for name, rate in row["events_per_min"].items() if rate)
        view.add_row(
            row["condition"],
            row["task"],
            str(row["seed"]),
            str(row["decisions_in_play"]),
            f"{row['minutes_in_play']:.1f}",
            f"{row['reward_per_min']:.2f}",
            str(row["episodes"]),
            _number(row["mean_hits"]),
            _number(row["mean_episode_s"]),
            row["decoder"],
            worded(row["decoder_fitted"]),
            str(row["pulses"]),
            events or "none",
        )
    return view


def _groups_view(rows: list[dict[str, Any]]) -> "Table":
    from wetloop.cli.output import worded
    from wetloop.cli.render import table

    columns = ("reward/min>", "hits each>", "s each>")
    view = table("condition", "task", "decoder", "fitted", "sessions>", *columns, title="Conditions, mean (SD)")
    for row in rows:
        averages = (f"{_number(row[name]['mean'])} ({_number(row[name]['sd'])})" for name in AVERAGED)
        fitted = worded(row["decoder_fitted"])
        view.add_row(row["condition"], row["task"], row["decoder"], fitted, str(row["sessions"]), *averages)
    return view


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
