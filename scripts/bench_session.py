"""How fast a whole session is, and how soon it starts: ``python scripts/bench_session.py [--seconds 300] [--json]``.

Plays DishBrain Pong (1,000 cells, 64 electrodes, 10 ms decisions, recording on) accelerated, in three settings, and
starts it in fresh processes from an empty and from a warm cache of compiled kernels. Speed is rig time over CPU time of
the whole process during the session, settling and finishing the file included; wall time is given beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SETTINGS = {
    "spikes": (100, []),
    "samples, detected": (60, ["source.signal=samples"]),
    "samples, raw kept": (20, ["source.signal=samples", "recording.raw_samples=true"]),
}
START = """
import time
t = time.time()
from wetloop.config import parse_config
from wetloop.session import run_session
shown = []
run_session(parse_config("", "bench", ["duration=0.1", "recording.folder={folder}"]), accelerated=True,
            on_progress=lambda p: shown.append(p.phase or time.time() - t))
print([x for x in shown if not isinstance(x, str)][0], any(isinstance(x, str) for x in shown))
"""


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def play(settings: list[str], seconds: float) -> tuple[float, float]:
    from wetloop.config import parse_config
    from wetloop.session import run_session

    with tempfile.TemporaryDirectory() as folder:
        config = parse_config("", "bench", [f"duration={seconds}", f"recording.folder={folder}", *settings])
        cpu, wall = cpu_s(), time.perf_counter()
        run_session(config, accelerated=True)
        return seconds / (cpu_s() - cpu), seconds / (time.perf_counter() - wall)


def start(cache: str) -> tuple[float, bool]:
    """Return the time from the start of a process to its first decision, s, and whether compiling was announced."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": cache}
        begun = time.perf_counter()
        command = [sys.executable, "-c", START.format(folder=folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        inside, announced = done.stdout.split()
        return min(float(inside) + 0.05, time.perf_counter() - begun), announced == "True"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for name, (goal, settings) in SETTINGS.items():
        play(settings, 1)
        runs = [play(settings, arguments.seconds) for _ in range(arguments.repeats)]
        cpu, wall = (statistics.median(run[k] for run in runs) for k in (0, 1))
        rows.append(
            {"figure": name, "x_real_time_cpu": cpu, "x_real_time_wall": wall, "goal": goal, "met": cpu >= goal}
        )
    with tempfile.TemporaryDirectory() as cache:
        cold, announced = start(cache)
        warm = statistics.median(start(cache)[0] for _ in range(3))
    rows.append(
        {"figure": "cold start to first decision", "s": cold, "goal": 20, "met": cold <= 20, "announced": announced}
    )
    rows.append({"figure": "warm start to first decision", "s": warm, "goal": 3, "met": warm <= 3})
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"load average {os.getloadavg()[0]:.1f}")
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )


if __name__ == "__main__":
    main()
