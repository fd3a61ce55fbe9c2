"""Doom against the clock: in real time, as fast as it goes, and what it costs the engine compared with Pong.

    python scripts/bench_doom.py [seconds per case]

Prints JSON: tics and actions per second, decisions whose answer came late, times real time when stepped with 1,000
cells and a recording, and late blocks of the engine with Doom and with Pong.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from wetloop.config import load_config
from wetloop.core.types import Answer
from wetloop.recording.reader import Recording
from wetloop.session import run_session
from wetloop.tasks.doom_engine import TICS_PER_S

CONFIGS = Path(__file__).parents[1] / "configs"
LATE_MS = 1.0


def play(name: str, seconds: float, *settings: str, accelerated: bool = False) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        common = [f"recording.folder={folder}", f"duration={seconds}", "decision_ms=20", "guard.lease_ms=100"]
        config = load_config(CONFIGS / f"{name}.yaml", [*common, *settings])
        summary = run_session(config, accelerated=accelerated)
        with Recording(summary.file) as recording:
            return told(summary, recording.decisions(), recording.blocks())


def told(summary, decisions, blocks) -> dict:
    fresh = (decisions["answer"] == Answer.FRESH) & (decisions["playing"] == 1)
    decision_s = summary.duration_s / summary.decisions
    held_s = decision_s * float((decisions["playing"] == 0).sum())
    busy_us = (blocks["done_ns"] - blocks["arrival_ns"]) / 1e3
    return {
        "rig_s": summary.duration_s,
        "times_real_time": summary.duration_s / summary.wall_s,
        "actions_per_s": float(fresh.sum()) / (summary.duration_s - held_s),
        "tics_per_s": TICS_PER_S * decision_s * float(fresh.sum()) / (summary.duration_s - held_s),
        "late_answers": summary.task["reused"],
        "restarts": summary.task["restarted"],
        "late_decisions": summary.late_decisions,
        "decision_lateness_us": np.percentile(decisions["lateness_us"], [50, 99, 100]).round(1).tolist(),
        "late_blocks": int((busy_us > 1000 * LATE_MS).sum()),
        "block_us": np.percentile(busy_us, [50, 99, 100]).round(1).tolist(),
        "events": {name: n for name, n in summary.events.items() if n},
    }


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    play("pong", 1.0, accelerated=True)
    doom, pong = play("doom", seconds), play("pong", seconds)
    stepped = play("doom", 5 * seconds, "feedback.random.duration_s=0.02", accelerated=True)
    report = {
        "doom in real time": doom,
        "pong in real time": pong,
        "late blocks, doom over pong": doom["late_blocks"] / max(1, pong["late_blocks"]),
        "doom stepped": {name: stepped[name] for name in ("rig_s", "times_real_time", "events")},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
