"""Figures of experiments: ``python scripts/bench_experiment.py {scale|dask|false-positives} [--help]``.

``scale`` plays the seven arms of ``configs/papers/dishbrain.yaml`` with one worker and with two (``--workers``),
compares every result bit by bit, and tells what 7 x 40 sessions of 20 minutes take: measured with ``--cultures 40
--minutes 20``, else extrapolated from the time per session. ``dask`` does the same on a scheduler with two workers on
loopback. ``false-positives`` plays a pool of sessions in which nothing can learn, and then asks the statistics about
many experiments made of it: cultures drawn at random, arms' labels shuffled within each.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wetloop.analysis.report.build import report_on, subject_of
from wetloop.experiments import Experiment, load
from wetloop.experiments.runner import Workers, run_experiment
from wetloop.experiments.statistics import compare

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "configs/papers/dishbrain.yaml"
WHOLE = 7 * 40
ARMS = {
    "conditions": ["stimulus", "yoked", "silent", "no_feedback", "rest", "noise"],
    "more": {"plasticity_blocked": {"set": ['source.plasticity={kind: "off"}']}},
}
FLAT = {"conditions": ["stimulus", "yoked"]}


def protocol(path: Path, minutes: float, **changes: Any) -> Path:
    """Write the paper's protocol with these changes, sessions of so many minutes, a quarter of them early."""
    told = yaml.safe_load(PAPER.read_text()) | {"session": str(ROOT / "configs/pong.yaml"), "published": []}
    settings = [*changes.pop("set", told["set"]), f"duration={minutes}min"]
    path.write_text(yaml.safe_dump(told | changes | {"set": settings, "windows": {}}))
    return path


def results(folder: Path) -> dict[str, Any]:
    """Return all results of an experiment but for how long its runs took and where it lies."""
    experiment = load(folder)
    runs = [{k: v for k, v in vars(run).items() if k not in {"wall_s", "file"}} for run in experiment.runs]
    return {"runs": runs, "comparison": compare(experiment).to_dict()}


def timed(path: Path, folder: Path, workers: Workers) -> dict[str, Any]:
    """Play and report; return times in s."""
    begun = time.perf_counter()
    experiment = run_experiment(path, folder, workers)
    played_s = time.perf_counter() - begun
    report_on(subject_of([folder]))
    n = len(experiment.runs)
    return {
        "sessions": n,
        "play_s": round(played_s, 1),
        "report_s": round(time.perf_counter() - begun - played_s, 1),
        "whole_min": round((time.perf_counter() - begun) / n * WHOLE / 60, 1),
    }


def scale(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    path = protocol(folder / "p.yaml", arguments.minutes, arms=ARMS, cultures={"seeds": arguments.cultures})
    found: dict[str, Any] = {f"workers: {n}": timed(path, folder / f"jobs-{n}", Workers(n)) for n in arguments.workers}
    if len(found) == 1:
        return found
    first, last = (found[f"workers: {n}"]["play_s"] for n in (arguments.workers[0], arguments.workers[-1]))
    kept = [results(folder / f"jobs-{n}") for n in arguments.workers]
    return found | {"speed-up": round(first / last, 2), "same": all(each == kept[0] for each in kept)}


def dask(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    path = protocol(folder / "p.yaml", arguments.minutes, arms=ARMS, cultures={"seeds": arguments.cultures})
    with scheduler(folder) as address:
        found = timed(path, folder / "dask", Workers(dask=address))
    run_experiment(path, folder / "jobs-2", Workers(2))
    return {"two Dask workers": found, "same": results(folder / "dask") == results(folder / "jobs-2")}


@contextmanager
def scheduler(folder: Path):
    """Give the address of a Dask scheduler with two workers, processes of this computer."""
    command = [sys.executable, "-m", "dask"]
    log = (folder / "scheduler.log").open("w+")
    first = subprocess.Popen([*command, "scheduler", "--host", "127.0.0.1", "--port", "0"], stderr=subprocess.PIPE)
    processes = [first]
    try:
        address = next(found[0].decode() for line in first.stderr if (found := re.search(rb"tcp://[\d.]+:\d+", line)))
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
        processes += [subprocess.Popen([*command, "worker", address, *options], stderr=log) for _ in range(2)]
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def false_positives(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the share of experiments whose claim is significant although nothing can learn."""
    off = ['source.plasticity={kind: "off"}']
    few = {"metrics": ["rally_length"], "resamples": arguments.resamples}
    pool = protocol(folder / "p.yaml", arguments.minutes, arms=FLAT, cultures={"seeds": arguments.pool}, set=off, **few)
    experiment = run_experiment(pool, folder / "pool", Workers(arguments.jobs))
    rng, p, others = np.random.default_rng(arguments.seed), [], []
    for _ in range(arguments.experiments):
        found = compare(reshuffled(experiment, arguments.cultures, rng))
        claim = next(each for each in found.contrasts if each.claim)
        p.append(claim.interaction.corrected_p)
        tests = [*(arm.within for arm in found.arms), *(each.late for each in found.contrasts)]
        others.append(min(test.corrected_p for test in tests))
    alpha = experiment.protocol.alpha
    share, n = float(np.mean(np.array(p) < alpha)), arguments.experiments
    return {
        "pool of sessions": len(experiment.runs),
        "experiments": n,
        "claims at alpha": alpha,
        "share": share,
        "standard error": round(float(np.sqrt(alpha * (1 - alpha) / n)), 4),
        "any exploratory test": float(np.mean(np.array(others) < alpha)),
    }


def reshuffled(experiment: Experiment, n_cultures: int, rng: np.random.Generator) -> Experiment:
    """Return an experiment of some of the cultures, the arms' labels shuffled within each."""
    by_culture: dict[str, list[Any]] = {}
    for run in experiment.runs:
        by_culture.setdefault(run.culture, []).append(run)
    runs = []
    for name in rng.permutation(sorted(by_culture))[:n_cultures]:
        own = by_culture[str(name)]
        labels = [own[k] for k in rng.permutation(len(own))]
        runs += [replace(run, condition=as_if.condition, arm=as_if.arm) for run, as_if in zip(own, labels, strict=True)]
    # The statistics' own draws are seeded by the protocol: every experiment has its own.
    seed = int(rng.integers(2**31))
    return replace(experiment, runs=runs, protocol=experiment.protocol.model_copy(update={"seed": seed}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scale", "dask", "false-positives"))
    parser.add_argument("--minutes", type=float, default=4.0, help="length of a session, min of the rig's clock")
    parser.add_argument("--cultures", type=int, help="of an experiment; default 1, of false-positives 12")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of scale: each is played in turn")
    parser.add_argument("--pool", type=int, default=24, help="cultures among which false-positives draws")
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=999)
    parser.add_argument("--jobs", type=int, default=2, help="workers that play the pool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep everything there, and go on there; default a temporary one")
    arguments = parser.parse_args()
    arguments.cultures = arguments.cultures or (12 if arguments.what == "false-positives" else 1)
    chosen = {"scale": scale, "dask": dask, "false-positives": false_positives}[arguments.what]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(chosen(arguments, folder), indent=1))


if __name__ == "__main__":
    main()
