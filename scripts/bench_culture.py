"""The culture's figures: ``python scripts/bench_culture.py [--cultures 12] [--seconds 120] [--json]``.

Speed is simulated time over CPU time of one core, at rest and read in packets of 100 ms; 10,000 cells lie in a dish as
dense, under 27 x 27 electrodes. Statistics are those of ``wetloop culture describe`` on seeds that no search has seen.
"""

from __future__ import annotations

import argparse
import json
import time

from wetloop.analysis.culture_trial import Plan, watch
from wetloop.cli.culture_view import culture_view, summary
from wetloop.cli.output import show
from wetloop.culture.config import CultureConfig, ProbeConfig
from wetloop.culture.plasticity_config import OffConfig, ThreeFactorConfig
from wetloop.culture.state import nbytes

FIRST_SEED = 461
SIZES = {1000: 8, 3000: 14, 10_000: 27}
"""Electrodes along each side of the array, by cells."""
GOALS = {1000: 200, 10_000: 5}


def speed(cells: int, rule: OffConfig | ThreeFactorConfig, seconds: int) -> dict:
    side = SIZES[cells]
    probe = ProbeConfig(columns=side, rows=side)
    begun = time.process_time()
    culture = CultureConfig(cells=cells, probe=probe, plasticity=rule, packet_ms=100, settle_s=5).build(1)
    built = time.process_time() - begun
    culture.open()
    culture.read()
    core = culture.state.network.core
    spikes, begun = int(core["n_spikes"][0]), time.process_time()
    for _ in range(10 * seconds):
        culture.read()
    cpu_s = time.process_time() - begun
    return {
        "cells": cells, "plasticity": rule.kind, "x_real_time": seconds / cpu_s, "goal": GOALS.get(cells),
        "cell_rate_hz": (int(core["n_spikes"][0]) - spikes) / seconds / cells, "memory_mb": nbytes(culture.state) / 1e6,
        "build_s": built,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cultures", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    speed(1000, ThreeFactorConfig(), 1)
    rows = [speed(cells, rule, 20) for cells in SIZES for rule in (OffConfig(), ThreeFactorConfig())]
    plan = Plan(rest_s=arguments.seconds, stimulated_s=arguments.seconds / 2)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.cultures)
    result = summary([watch(CultureConfig(culture_seed=seed), seed, plan) for seed in seeds])
    if arguments.json:
        print(json.dumps({"speed": rows, **result}))
        return
    for row in rows:
        print(
            f"{row['cells']:6d} cells, {row['plasticity']:12s} {row['x_real_time']:6.1f} x real time, "
            f"{row['cell_rate_hz']:.2f} Hz per cell, {row['memory_mb']:6.1f} MB, built in {row['build_s']:.1f} s"
        )
    show(*culture_view(result))


if __name__ == "__main__":
    main()
