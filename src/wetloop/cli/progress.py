"""How far a session has come: a bar on a terminal, a line every few seconds elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wetloop.experiments.runner import Played
    from wetloop.session import Progress

    Report = Callable[[Progress], None]

BAR_EVERY_S = 0.2
LINE_EVERY_S = 5.0


@contextmanager
def progress_view(duration_s: float, *, quiet: bool) -> Iterator[Report | None]:
    """Give what a session is to call; nothing at all if ``quiet``."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(duration_s) as update:
            yield every(BAR_EVERY_S, lambda progress: update(progress.rig_s, score(progress)))
    else:
        yield every(LINE_EVERY_S, _line)


def every(interval_s: float, report: Report, clock: Callable[[], float] = time.monotonic) -> Report:
    """Return a report that passes on at most one call per interval of wall time."""
    due = clock() + interval_s

    def throttled(progress: Progress) -> None:
        nonlocal due
        now = clock()
        if progress.phase or now >= due:
            due = now + interval_s
            report(progress)

    return throttled


def score(progress: Progress) -> str:
    """Return what is being prepared, or the events so far and the late decisions if there are any, in words."""
    if progress.phase:
        return progress.phase
    counts = {**progress.events, "late decisions": progress.late_decisions}
    return ", ".join(f"{name} {n}" for name, n in counts.items() if n) or "no events yet"


@contextmanager
def share_view(*, quiet: bool) -> Iterator[Callable[[float], None] | None]:
    """Give what is to be told the share done, 0 to 1; shown on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield None
    else:
        with _bar(1.0) as update:
            yield lambda share: update(share, "")


@contextmanager
def runs_view(*, quiet: bool) -> Iterator[Callable[[Played], None] | None]:
    """Give what an experiment is to call with each run: a bar with the time left, or a line."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(1.0) as update:
            yield lambda played: update(played.done / played.total, _run_told(played))
    else:
        begun, left = time.monotonic(), time_left()
        yield lambda played: typer.echo(f"{_run_told(played)}{left(played, time.monotonic() - begun)}", err=True)


def _run_told(played: Played) -> str:
    failed = f" failed: {played.message}" if played.message else ""
    return f"{played.done} of {played.total} runs, {played.code}{failed}"


def time_left() -> Callable[[Played, float], str]:
    """Return what tells the time that is left, in words, from the pace of the runs since the start."""
    first: int | None = None

    def told(played: Played, elapsed_s: float) -> str:
        nonlocal first
        first = played.done - 1 if first is None else first
        left_s = elapsed_s / (played.done - first) * (played.total - played.done)
        return f", about {left_s / 60:.0f} min left" if left_s else ""

    return told


@contextmanager
def _bar(total: float) -> Iterator[Callable[[float, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True, highlight=False)
    with Bar(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("starting", total=total)

        def update(done: float, description: str) -> None:
            bar.update(task, completed=done, description=description, refresh=True)

        yield update


def _line(progress: Progress) -> None:
    typer.echo(progress.phase or f"{progress.rig_s:.0f} of {progress.duration_s:.0f} s: {score(progress)}", err=True)
