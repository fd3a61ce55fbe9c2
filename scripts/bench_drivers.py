"""Measures the drivers: parsing against the live rate, triggers on the wire, whole games through each emulator.

python scripts/bench_drivers.py                     parse and triggers
python scripts/bench_drivers.py play --minutes 5    Pong through each emulator, in real time
python scripts/bench_drivers.py play --only maxlab lsl
"""

import argparse
import sys

import numpy as np
from bench_drivers_parse import rows as parse_rows
from bench_drivers_play import RIGS, played
from bench_drivers_triggers import rows as trigger_rows


def parse(options):
    for name, times_live, goal in parse_rows(options.seconds):
        good = times_live >= goal
        print(f"{name:52s} {times_live:8.1f} x live   >= {goal:g}: {'ok' if good else 'UNDER'}", flush=True)
        yield good


def triggers(options):
    for name, took_us, goal in trigger_rows(options.triggers):
        p50, p99, worst = np.percentile(took_us, [50, 99, 100])
        verdict = "ok" if p50 < goal else "OVER"
        print(
            f"{name:22s} p50 {p50:7.1f}  p99 {p99:7.1f}  max {worst:7.1f} us   p50 < {goal:g} us: {verdict}", flush=True
        )
        yield p50 < goal


def play(options):
    for kind in options.only or RIGS:
        told, good = played(kind, options.minutes)
        print(f"{kind:12s} {told}", flush=True)
        yield good


PARTS = {"parse": parse, "triggers": triggers, "play": play}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=PARTS, default=["parse", "triggers"])
    parser.add_argument("--seconds", type=float, default=4.0, help="of data that are parsed, per row")
    parser.add_argument("--triggers", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each game")
    parser.add_argument("--only", nargs="+", choices=RIGS, default=[])
    options = parser.parse_args()
    verdicts = [good for part in options.parts for good in PARTS[part](options)]
    sys.exit(not all(verdicts))


if __name__ == "__main__":
    main()
