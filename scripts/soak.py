"""Whether a long session grows: ``python scripts/soak.py [--hours 10] [--json]``.

Plays a session accelerated with every watchdog on, and looks at the process's memory and open files once in so many
minutes of rig time. The first fifth is left out (caches fill up). Exit code 1 where memory grows faster than
``--most-mb-per-h`` (MB per hour of rig time), or where more files are open at the end than after that first fifth.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from wetloop.session import Progress

LEFT_OUT = 0.2


class Look(NamedTuple):
    """Rig time, s; resident memory, MB; open file handles."""

    rig_s: float
    rss_mb: float
    handles: int


def look(rig_s: float) -> Look:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Look(rig_s, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list(Path("/proc/self/fd").iterdir())))


def soak(hours: float, every_s: float, settings: list[str]) -> tuple[list[Look], dict[str, Any]]:
    """Play, and return what was seen on the way, and the summary."""
    from wetloop.config import parse_config
    from wetloop.session import run_session

    looks: list[Look] = []

    def watch(progress: Progress) -> None:
        if not progress.phase and (not looks or progress.rig_s - looks[-1].rig_s >= every_s):
            looks.append(look(progress.rig_s))

    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"duration={hours}h", f"recording.folder={folder}", *settings]
        summary = run_session(parse_config("", "soak", overrides), accelerated=True, on_progress=watch)
        size_mb = Path(summary.file).stat().st_size / 1e6
    return looks, summary.to_dict() | {"file_mb": size_mb}


def report(looks: list[Look], summary: dict[str, Any], wall_s: float) -> dict[str, Any]:
    """Return the figures."""
    kept = looks[round(LEFT_OUT * len(looks)) :]
    hours, rss_mb = np.array([k.rig_s for k in kept]) / 3600, np.array([k.rss_mb for k in kept])
    return {
        "rig_h": float(hours[-1]),
        "wall_s": wall_s,
        "looks": len(looks),
        "rss_mb_first": kept[0].rss_mb,
        "rss_mb_last": kept[-1].rss_mb,
        "rss_mb_per_h": float(np.polyfit(hours, rss_mb, 1)[0]),
        "handles_first": kept[0].handles,
        "handles_last": kept[-1].handles,
        "ended": summary["ended"],
        "alarms": len(summary["alarms"]),
        "file_mb": summary["file_mb"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--every-s", type=float, default=60.0, help="rig time between two looks, s")
    parser.add_argument("--most-mb-per-h", type=float, default=5.0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    looks, summary = soak(arguments.hours, arguments.every_s, arguments.settings)
    if len(looks) < 10:
        sys.exit(f"only {len(looks)} looks: ask for more hours, or for looks more often (--every-s)")
    figures = report(looks, summary, time.perf_counter() - begun)
    grows = figures["rss_mb_per_h"] > arguments.most_mb_per_h or figures["handles_last"] > figures["handles_first"]
    if arguments.json:
        print(json.dumps(figures | {"flat": not grows}))
    else:
        for name, value in figures.items():
            print(f"{name:14} {value:.2f}" if isinstance(value, float) else f"{name:14} {value}")
        print("grows" if grows else "flat")
    return int(grows)


if __name__ == "__main__":
    sys.exit(main())
