"""Does the simulated culture learn? Pre-registered: ``python scripts/learning_experiment.py FOLDER [--jobs 2]``.

The protocol (seeds, layouts, arms, metric, tests) is written to FOLDER/protocol.json before the first run; every line
of FOLDER/manifest.jsonl carries its SHA-256. A run that is in the manifest is not repeated, so the script can be
stopped and started again. ``--table`` prints what is there. The oracle is no arm: what is told the outcome shows no
learning.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ARMS = {
    "stimulus": ("stimulus", "three-factor"),
    "yoked": ("yoked", "three-factor"),
    "off": ("stimulus", "off"),
    "silent": ("silent", "three-factor"),
    "no_feedback": ("no_feedback", "three-factor"),
    "noise": ("noise", "off"),
}
"""Condition of the session and rule of plasticity."""
INVERTED = {
    "inverted": ("stimulus", "three-factor", "feedback.predictable_events=[miss]", "feedback.random_events=[hit]"),
}
"""An arm to ask for: predictable feedback for a miss. If contingency is what is learned, play has to become worse."""
CONTROLS = ("off", "silent", "no_feedback", "noise")
LAYOUTS = {
    "8x8": [],
    "maxone-like": [
        "source.probe.columns=27", "source.probe.rows=15", "source.probe.pitch_um=140",
        "source.network.margin_um=100", "layout.block_um=280",
        "source.stimulation.radius_mm=0.33", "source.stimulation.radius_at_double_mm=0.48",
    ],
}  # fmt: skip
"""On the larger, thinner dish pulses reach farther, so that they fire as many cells: 25, 50, or 150 by all sites."""
CANDIDATES = {
    "as it is": [],
    "flipped": ["layout.flip=true"],
    "coarse": ["layout.block_um=400"],
    "coarse, flipped": ["layout.block_um=400", "layout.flip=true"],
}
"""Motor layouts among which a pre-test chooses, without plasticity and before any arm, the same for all arms."""
CHANCE = 0.41
"""Mean rally length of noise in this game."""
SETTINGS = ["task.crossing_s=2", "recording.journal=none"]
KNOWN = (
    range(1, 33), range(101, 141), range(201, 241), range(401, 581), range(601, 631), range(701, 781), range(801, 857),
)  # fmt: skip
"""Seeds of earlier experiments."""


def protocol(arguments) -> dict:
    seeds = list(range(arguments.first_seed, arguments.first_seed + arguments.cultures))
    return {
        "question": f"Does play of arm {arguments.arms[0]} in T2 differ from that of every other arm?",
        "seeds": seeds,
        "layouts": {name: LAYOUTS[name] for name in arguments.layouts},
        "arms": {name: (ARMS | INVERTED)[name] for name in arguments.arms},
        "settings": SETTINGS + arguments.set,
        "minutes": arguments.minutes,
        "pre_test": {"minutes": arguments.pre_test_minutes, "candidates": CANDIDATES, "chance": CHANCE},
        "metric": "log(1 + mean rally length) of rallies that end in T2, which is all after the first quarter; the "
        "rally that runs at the end counts; T1 is the first quarter",
        "effect": "Cohen's d of the metric, pooled standard deviation",
        "tests": f"{arguments.arms[0]} against each other arm and layout: two-sided Mann-Whitney and, paired by "
        "culture, Wilcoxon; Holm over all of them; controls off, silent, no_feedback, noise: two-sided Mann-Whitney "
        "of each pair, Holm",
        "exclusions": "none; a culture without a rally in T2 counts as 0",
        "source": source_hash(),
    }


def source_hash() -> str:
    root = Path(__file__).parents[1]
    digest = hashlib.sha256((root / "configs/pong.yaml").read_bytes())
    for path in sorted((root / "src/wetloop").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def play(job) -> dict:
    """Play one session and return its rallies."""
    name, layout, seed, condition, rule, minutes, extra = job
    from wetloop.config import load_config
    from wetloop.recording.reader import Recording
    from wetloop.session import run_session

    begun = time.perf_counter()
    config = Path(__file__).parents[1] / "configs/pong.yaml"
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            *LAYOUTS[layout], *extra, f"seed={seed}", f"condition={condition}", f"duration={60 * minutes}",
            f"source.plasticity.kind={rule}", f"source.culture_seed={seed}", f"recording.folder={folder}",
        ]  # fmt: skip
        summary = run_session(load_config(config, overrides), accelerated=True)
        with Recording(Path(summary.file)) as recording:
            rallies = recording.episodes()
            ends_s = rallies["stop_sample"] / recording.info.sampling_frequency
    t1 = ends_s <= 15 * minutes
    return {
        "layout": layout, "arm": name, "seed": seed, "t1": mean(rallies["hits"][t1]), "t2": mean(rallies["hits"][~t1]),
        "aces_t2": mean(rallies["hits"][~t1] == 0), "long_t2": mean(rallies["hits"][~t1] > 3), "rallies": len(rallies),
        "hits": int(rallies["hits"].sum()), "spikes_per_s": summary.spikes / summary.duration_s,
        "wall_s": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def mean(values) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def pre_test(job) -> dict:
    """Return the motor layout in which an untrained culture plays nearest to chance."""
    layout, seed, plan = job
    found = {}
    for name, extra in CANDIDATES.items():
        run = play((name, layout, seed, "stimulus", "off", plan["pre_test"]["minutes"], [*plan["settings"], *extra]))
        found[name] = (run["t1"] + 3 * run["t2"]) / 4
    best = min(found, key=lambda name: abs(math.log1p(found[name]) - math.log1p(CHANCE)))
    return {"layout": layout, "arm": "pre-test", "seed": seed, "chosen": best, "scores": found}


def run(job) -> dict:
    kind, *rest = job
    return pre_test(rest) if kind == "pre-test" else play(rest)


def jobs(plan, done) -> tuple[list, list]:
    """Return the pre-tests and the sessions that are still to be run; a session needs its pre-test."""
    pre, main = [], []
    for layout in plan["layouts"]:
        for seed in plan["seeds"]:
            chosen = done.get((layout, "pre-test", seed), {}).get("chosen")
            if chosen is None:
                pre.append(("pre-test", layout, seed, plan))
                continue
            extra = [*plan["settings"], *CANDIDATES[chosen]]
            for arm, (condition, rule, *settings) in plan["arms"].items():
                if (layout, arm, seed) not in done:
                    main.append(("play", arm, layout, seed, condition, rule, plan["minutes"], [*extra, *settings]))
    return pre, main


def finished(folder, sha) -> dict:
    path = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if any(row["protocol"] != sha for row in rows):
        sys.exit("the manifest belongs to another protocol: choose another folder")
    return {(row["layout"], row["arm"], row["seed"]): row for row in rows}


def experiment(folder, plan, sha, n_jobs) -> None:
    pool = multiprocessing.get_context("spawn").Pool(n_jobs)
    with pool, (folder / "manifest.jsonl").open("a") as manifest:
        for stage in (0, 1):
            for row in pool.imap_unordered(run, jobs(plan, finished(folder, sha))[stage]):
                manifest.write(json.dumps(row | {"protocol": sha}) + "\n")
                manifest.flush()
                print(json.dumps(row), flush=True)


def holm(rows) -> list:
    """Add Holm's corrected p to rows of (..., p), and return them by p."""
    rows, worst = sorted(rows, key=lambda row: row[-1]), 0.0
    for k, row in enumerate(rows):
        worst = max(worst, min(1.0, row[-1] * (len(rows) - k)))
        rows[k] = [*row, worst]
    return rows


def effect(x, y) -> float:
    spread = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
    return float((x.mean() - y.mean()) / spread) if spread else float("nan")


def table(plan, done) -> None:
    from scipy.stats import mannwhitneyu, wilcoxon

    print("layout        arm           n   T1    T2   median   aces  long  log(1+T2) mean (SD)")
    tests, controls, reference = [], [], next(iter(plan["arms"]))
    for layout in plan["layouts"]:
        score = {}
        for arm in plan["arms"]:
            rows = [done[layout, arm, seed] for seed in plan["seeds"] if (layout, arm, seed) in done]
            if len(rows) < 2:
                continue
            t2 = np.array([row["t2"] for row in rows])
            score[arm] = {row["seed"]: math.log1p(row["t2"]) for row in rows}
            logs = np.array(list(score[arm].values()))
            print(
                f"{layout:13s} {arm:12s} {len(rows):2d}  {mean([r['t1'] for r in rows]):.2f}  {t2.mean():.2f}  "
                f"{np.median(t2):.2f}     {mean([r['aces_t2'] for r in rows]):.2f}  "
                f"{mean([r['long_t2'] for r in rows]):.2f}  {logs.mean():.3f} ({logs.std(ddof=1):.3f})  "
                f"{mean([r['wall_s'] for r in rows]):.1f} s per session"
            )
        for arm, own in score.items():
            both = sorted(set(score.get(reference, {})) & set(own))
            if arm == reference or len(both) < 2:
                continue
            x, y = (np.array([score[a][seed] for seed in both]) for a in (reference, arm))
            tests.append([layout, arm, effect(x, y), "Mann-Whitney", float(mannwhitneyu(x, y).pvalue)])
            if np.any(x != y):
                tests.append([layout, arm, effect(x, y), "Wilcoxon", float(wilcoxon(x, y).pvalue)])
        pairs = [(a, b) for k, a in enumerate(CONTROLS) for b in CONTROLS[k + 1 :] if a in score and b in score]
        for a, b in pairs:
            x, y = (np.array(list(score[arm].values())) for arm in (a, b))
            controls.append([layout, f"{a} / {b}", effect(x, y), "Mann-Whitney", float(mannwhitneyu(x, y).pvalue)])
    for title, rows in ((f"{reference} against", tests), ("controls among themselves", controls)):
        print(f"\n{title}: d, test, p, Holm")
        for layout, what, d, test, p, corrected in holm(rows):
            print(f"{layout:13s} {what:22s} {d:+.2f}  {test:13s} {p:.3g}  {corrected:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first-seed", type=int, default=861)
    parser.add_argument("--cultures", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pre-test-minutes", type=float, default=5.0)
    parser.add_argument("--arms", nargs="+", choices=ARMS | INVERTED, default=list(ARMS))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table of what is there and stop")
    arguments = parser.parse_args()
    if any("oracle" in setting for setting in arguments.set):
        sys.exit("refused: a rule that is told the outcome is an upper bound, not evidence of learning")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "protocol.json"
    text = path.read_text() if arguments.table else json.dumps(protocol(arguments), indent=1)
    plan, sha = json.loads(text), hashlib.sha256(text.encode()).hexdigest()
    if not path.exists():
        used = [seed for seed in plan["seeds"] if any(seed in seeds for seeds in KNOWN) or seed >= 9000]
        if used:
            sys.exit(f"seeds {used[0]} to {used[-1]} are used up or kept unused")
        path.write_text(text)
    elif path.read_text() != text:
        sys.exit(f"{path} holds another protocol (or another version of the source): choose another folder")
    if not arguments.table:
        experiment(arguments.folder, plan, sha, arguments.jobs)
    table(plan, finished(arguments.folder, sha))


if __name__ == "__main__":
    main()
