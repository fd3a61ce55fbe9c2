"""Results as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from wetloop.cli.output import worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table; columns whose name ends in ``>`` are aligned to the right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for column in columns:
        made.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left")
    return made


def summary_view(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what is shown at the end of a session; ``summary`` is a session's ``Summary.to_dict()``."""
    yield facts(f"Session {summary['ended']}", dict(_summary_facts(summary)))
    asked_for = {kind: fates for kind, fates in summary["pulses"].items() if any(fates.values())}
    if asked_for:
        yield pulses_table(asked_for)
    if not summary["reacts"]:
        who = "an agent played" if summary["condition"] == "agent" else "a recorded culture cannot react"
        yield Text(f"Note: {who}; this score says nothing about learning by cells.", style="yellow")
    yield Text(f"Recording: {summary['file'] or 'none'}")


def facts(title: str, values: Mapping[str, object]) -> Table:
    """Return a two-column table of names and values."""
    made = table("", "", title=title)
    made.show_header = False
    for name, value in values.items():
        made.add_row(name, worded(value))
    return made


def pulses_table(pulses: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the number of pulses by kind and by what became of them; empty columns are left out."""
    fates = list(dict.fromkeys(fate for counts in pulses.values() for fate, n in counts.items() if n))
    made = table("pulses", *(f"{fate.replace('_', ' ')}>" for fate in fates))
    for kind, counts in pulses.items():
        made.add_row(kind, *(str(counts.get(fate, 0)) for fate in fates))
    return made


def _summary_facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "condition", f"{summary['condition']} on {summary['source']}"
    yield from _game_facts(summary)
    yield "events", summary["events"]
    if summary.get("decoder_fitted"):
        yield "decoder fitted", True
    yield "spikes", summary["spikes"]
    yield "decisions", f"{summary['decisions']}, {summary['late_decisions']} late"
    answers = summary.get("task", {})
    if any(answers.values()):
        yield "task", ", ".join(f"{what} {n} times" for what, n in answers.items())
    yield "lost samples", summary["lost_samples"]
    if summary.get("real_time"):
        yield from _real_time_facts(summary["real_time"])
    raised = [alarm["watch"] for alarm in summary.get("alarms", []) if alarm["state"] == "raised"]
    if raised:
        yield "alarms", ", ".join(f"{watch} {raised.count(watch)} times" for watch in dict.fromkeys(raised))
    yield "rig time", _number(summary["duration_s"], "s")
    if summary["wall_s"]:
        yield "speed", f"{summary['duration_s'] / summary['wall_s']:.3g} x real time"


def _game_facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield rallies where the task has them, else episodes and reward."""
    if summary["rallies"] is None:
        yield "episodes ended", summary["episodes"]
        yield "reward", f"{summary['reward']:.4g}"
        return
    yield "rallies", summary["rallies"]
    yield "mean rally length", _number(summary["mean_rally_length"], "hits")
    yield "aces", _number(summary["aces_percent"], "%")
    yield "long rallies", _number(summary["long_rallies_percent"], "%")


def _real_time_facts(real_time: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "late packets", real_time["late_blocks"]
    if refused := real_time["triggers_late_at_rig"]:
        yield "not taken", f"{refused} of {real_time['pulses_forwarded']} pulses: too late at the rig, or it was away"
    clock = real_time["rig_clock"]
    jumps = f", {clock['jumps']} jumps" if clock["jumps"] else ""
    yield "rig clock", f"{clock['drift_ppm']:+.1f} ppm, 95 % of packets within {clock['jitter_us']:.0f} us{jumps}"
    granted = {
        role: ", ".join(
            name for name, has in (("FIFO", got["fifo_priority"] is not None), ("locked", got["memory_locked"])) if has
        )
        for role, got in real_time["permissions"].items()
    }
    yield "permissions", ", ".join(f"{role} {what or 'none'}" for role, what in granted.items())


def _number(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
