"""The same figures on one screen of a terminal, for ssh."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wetloop.analysis.story import raster_rows
from wetloop.live.board import EDGES_US, Board

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from wetloop.live.feed import Feed, Health

PERIOD_S = 0.25
BLOCKS = " ▁▂▃▄▅▆▇█"
COLUMNS, BIN_S = 48, 0.1
EPISODES = 48
STYLES = {"running": "bold green", "replay": "bold green", "tripped": "bold red", "died": "bold red"}
WARNING, ALARMING = "bold yellow", "bold white on red"


def show(feed: Feed, console: Console | None = None, until: threading.Event | None = None) -> None:
    """Show a feed on the terminal until interrupted, or until the event is set."""
    until, board = until or threading.Event(), None
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=True) as live:
        while not until.wait(PERIOD_S):
            batch = feed.take()
            if feed.facts is not None and (board is None or board.facts is not feed.facts):
                board = Board(feed.facts)
            if board is not None and batch is not None:
                board.add(batch)
            live.update(screen(board, feed.health()), refresh=True)


def screen(board: Board | None, health: Health) -> RenderableType:
    """Return the screen of one moment."""
    if board is None or not board.recent:
        return Text("Wetloop: waiting for a session (wetloop run); Ctrl-C ends the view")
    return Group(
        _head(board, health), _alarm(board), Text(), _table(_game(board)), Text(), _table(_activity(board)), Text(),
        _table(_loop(board, health)), Text("Ctrl-C ends the view, not the session", "dim"),
    )  # fmt: skip


def _head(board: Board, health: Health) -> Text:
    facts, state = board.facts, "stimulation off" if health.silenced and health.state == "running" else health.state
    line = Text(f"{facts.header['description']}\n", "bold")
    line.append(state, STYLES.get(state, "bold"))
    line.append(f"   {clock(board.elapsed_s)} of {clock(facts.duration_s)}", "bold")
    return line.append(f"   {facts.file.rpartition('/')[2]}", "dim")


def _alarm(board: Board) -> Text:
    """Return the newest alarm, and which others are not over."""
    alarms = board.alarms
    if not alarms.count:
        return Text("no alarms", "dim")
    newest = alarms.recent[-1]
    told = f"{newest['watch']} {newest['state']} at {clock(board.seconds(newest['sample_index']))}"
    line = Text(f"{told}, policy {newest['policy']}: {newest['meaning']}")
    others = ", ".join(watch for watch in alarms.active if watch != newest["watch"])
    line.append(f" (not over: {others})" if others else "")
    return Text("alarm  ").append_text(line) if not alarms.active else Text("▲ ALARM  ", ALARMING).append_text(line)


def _table(rows: Iterator[tuple[str, str | Text]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", min_width=16)
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table


def _game(board: Board) -> Iterator[tuple[str, str | Text]]:
    score, facts = board.score, board.facts
    counts = zip(facts.event_names, score.counts.tolist(), strict=True)
    yield "events", "  ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts) or "none"
    what = "hits in this rally" if facts.rallies else "reward so far"
    yield what, Text(f"{score.running if facts.rallies else score.reward:g}", "bold cyan")
    values = [episode.value for episode in score.episodes[-EPISODES:]]
    mean = f"   mean of the last ten {np.mean(values[-10:]):.2f}" if values else ""
    yield "rallies" if facts.rallies else "episodes", f"{sparks(values)}{mean}"


def _activity(board: Board) -> Iterator[tuple[str, str | Text]]:
    yield "spikes, pulses", f"{board.spikes_hz():.0f} spikes/s   {board.pulses_hz():.1f} pulses/s"
    groups, row_of = raster_rows(board.facts.layout, board.facts.info.n_channels)
    spikes = np.concatenate([batch.spikes for batch in board.recent])
    bins = (board.now_sample - spikes["sample_index"]) / (BIN_S * board.facts.sampling_frequency)
    newest_last, rows = COLUMNS - 1 - bins.astype(np.int64), row_of[spikes["channel_index"]]
    for group in groups:
        mine = (rows >= group.first) & (rows < group.stop) & (newest_last >= 0) & (newest_last < COLUMNS)
        yield (
            _numbered_from_one(group.name),
            Text(sparks(np.bincount(newest_last[mine], minlength=COLUMNS).tolist()), "cyan"),
        )


def _loop(board: Board, health: Health) -> Iterator[tuple[str, str | Text]]:
    times, score = board.times, board.score
    late = times.late if health.late_blocks is None else health.late_blocks
    deadline = int(np.searchsorted(EDGES_US, board.facts.period_us))
    heights = sparks(np.log1p(times.counts).tolist())
    yield "loop, 1 us .. 0.1 s", Text(heights[:deadline]).append("|", "bold red").append(heights[deadline:], "yellow")
    p50_us, p99_us = times.quantile_us(0.5), times.quantile_us(0.99)
    told = (
        f"p50 {p50_us:.3g} us  p99 {p99_us:.3g} us  longest {times.longest_us:.3g} us"
        if p50_us and p99_us
        else "no times"
    )
    yield "", f"{told}  deadline {board.facts.period_us:.4g} us"
    yield "late", _counts({"packets": late, "decisions": score.late, "pulses at the rig": health.late_at_rig})
    dropped = sum(health.dropped.values())
    yield "lost", _counts({"samples": health.lost_samples, "records": dropped, "unseen here": health.unseen})
    yield "guard", _counts({"refused": board.guard_refusals(), "held back": health.held_back})
    yield "not delivered", "   ".join(f"{why.replace('_', ' ')} {n}" for why, n in board.refused().items()) or "none"
    yield "file", "   ".join(_disk(health)) or "not known"


def _numbered_from_one(group: str) -> str:
    """Return the name of a group of electrodes as the page has it."""
    name, _, number = group.rpartition(" ")
    return f"{name} {int(number) + 1}" if number.isdecimal() else group


def _counts(counts: dict[str, int]) -> Text:
    text = Text()
    for name, n in counts.items():
        text.append(f"{name} {n}   ", WARNING if n else "")
    return text


def _disk(health: Health) -> Iterator[str]:
    if health.written_mb is not None:
        yield f"{health.written_mb:.1f} MB"
    if health.lag_s is not None:
        yield f"{health.lag_s:.1f} s behind"
    if health.disk_minutes is not None:
        yield f"disk lasts {health.disk_minutes:.0f} min"


def sparks(values: Sequence[float]) -> str:
    """Return a bar per value, from 0 to the largest; the smallest that is not 0 can be seen."""
    most = max(values, default=0) or 1
    return "".join(BLOCKS[int(np.ceil(max(value, 0) / most * (len(BLOCKS) - 1)))] for value in values)


def clock(s: float) -> str:
    """Return a time as minutes and seconds."""
    return f"{int(s) // 60}:{int(s) % 60:02d}"
