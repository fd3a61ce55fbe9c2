"""Ten seconds of spikes and pulses around an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.analysis.report.style import INK, KIND_COLOURS, KIND_MARKERS, SPIKES, Panel, new_figure
from wetloop.analysis.story import raster_rows
from wetloop.kernels.records import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material
    from wetloop.analysis.story import Group

BEFORE_S, AFTER_S = 4.0, 6.0
OUTCOMES = ("hit", "miss")
MARK_POINTS = 260


@dataclass(frozen=True)
class RasterNumbers(Numbers):
    """What lies in the window: spikes, pulses (a row per electrode) and events, times since the session's start."""

    start_s: float
    stop_s: float
    centre: str
    spikes: Columns
    pulses: Columns
    events: Columns


def measure(session: Material) -> RasterNumbers:
    """Return the window around the first hit; without one, around the first miss; else the middle of the session."""
    centre, at_s = _centre(session)
    start_s = max(0.0, min(at_s - BEFORE_S, session.duration_s - BEFORE_S - AFTER_S))
    stop_s = min(session.duration_s, start_s + BEFORE_S + AFTER_S)
    activity = session.activity
    first, last = np.searchsorted(activity.times_s, (start_s, stop_s))
    return RasterNumbers(
        start_s,
        stop_s,
        centre,
        {"time_s": activity.times_s[first:last], "channel_index": activity.channels[first:last]},
        _pulses(session, start_s, stop_s),
        _events(session, start_s, stop_s),
    )


def _centre(session: Material) -> tuple[str, float]:
    stops_s = session.since_start_s(session.decisions["stop_sample"])
    for event in OUTCOMES:
        when = np.flatnonzero(session.happened(event))
        if len(when):
            return f"the first {event}", float(stops_s[when[0]])
    return "the middle of the session", session.duration_s / 2 + (BEFORE_S - AFTER_S) / 2


def _pulses(session: Material, start_s: float, stop_s: float) -> Columns:
    pulses = session.delivered
    times_s = session.since_start_s(pulses["sample_index"])
    inside = (times_s >= start_s) & (times_s < stop_s)
    channels = [pattern.channels for pattern in session.patterns.values()]
    used = [channels[number] for number in pulses["pattern"][inside]]
    counts = [len(electrodes) for electrodes in used]
    return {
        "time_s": np.repeat(times_s[inside], counts),
        "channel_index": np.array([channel for electrodes in used for channel in electrodes], np.int64),
        "kind": np.repeat(np.array(KINDS)[pulses["kind"][inside]], counts),
    }


def _events(session: Material, start_s: float, stop_s: float) -> Columns:
    stops_s = session.since_start_s(session.decisions["stop_sample"])
    told = [(s, name) for name in OUTCOMES for s in stops_s[session.happened(name)] if start_s <= s < stop_s]
    told.sort()
    return {"time_s": np.array([s for s, _ in told], float), "event": np.array([name for _, name in told], str)}


def draw(numbers: RasterNumbers, groups: list[Group], row_of: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Figure:
    """Draw spikes as strokes, pulses as marks by kind, outcomes as lines."""
    figure, (axes,) = new_figure(height_in=4.2)
    height = min(6.0, MARK_POINTS / max(1, len(row_of)))
    stroke: dict[str, Any] = {
        "marker": "|",
        "linestyle": "",
        "markersize": height,
        "markeredgewidth": 0.6,
        "rasterized": True,
    }
    axes.plot(numbers.spikes["time_s"], row_of[numbers.spikes["channel_index"]] + 0.5, color=SPIKES, **stroke)
    for kind in KINDS:
        chosen = numbers.pulses["kind"] == kind
        if chosen.any():
            rows = row_of[numbers.pulses["channel_index"][chosen]] + 0.5
            axes.plot(
                numbers.pulses["time_s"][chosen], rows, KIND_MARKERS[kind], color=KIND_COLOURS[kind],
                markersize=max(4.0, height), markeredgewidth=1.2, label=f"{kind} pulse", rasterized=True,
            )  # fmt: skip
    _mark_events(axes, numbers)
    _finish(axes, numbers, groups, len(row_of))
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _mark_events(axes: Axes, numbers: RasterNumbers) -> None:
    for name, line in zip(OUTCOMES, ("-", ":"), strict=True):
        at_s = numbers.events["time_s"][numbers.events["event"] == name]
        for k, when in enumerate(at_s):
            axes.axvline(when, color=INK, linestyle=line, linewidth=1, label=None if k else name)


def _finish(axes: Axes, numbers: RasterNumbers, groups: list[Group], n_rows: int) -> None:
    axes.set_xlim(numbers.start_s, max(numbers.stop_s, numbers.start_s + 0.1))
    axes.set_ylim(n_rows, 0)
    axes.grid(visible=False)
    axes.set_yticks([(group.first + group.stop) / 2 for group in groups], [group.name for group in groups])
    axes.tick_params("y", length=0)
    for group in groups[1:]:
        axes.axhline(group.first, color=INK, linewidth=0.4)
    axes.set_xlabel("time since the start (s)")


def panel(session: Material) -> Panel:
    """Return the raster."""
    numbers = measure(session)
    groups, row_of = raster_rows(session.layout, session.info.n_channels)
    silent = not len(numbers.spikes["time_s"]) and not len(numbers.pulses["time_s"])
    return Panel(
        "raster",
        "Spikes and pulses",
        f"{numbers.stop_s - numbers.start_s:.3g} s around {numbers.centre}. One row per electrode, ordered by its "
        "role; a stroke is a spike. Electrodes that are pulsed record artefacts, which are left out where the session "
        "marked them.",
        numbers,
        lambda: draw(numbers, groups, row_of),
        "Neither spikes nor pulses lie in the window." if silent else "",
    )
