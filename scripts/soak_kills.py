"""Kills sessions in real time at random instants and sees what is left: ``python scripts/soak_kills.py [--kills 50]``.

Each session is a ``wetloop run`` of its own; in turn its recorder, engine, source, stimulator, the session itself or
all of them at once get SIGKILL, some of them while they start. Of each it is asked that the recording, or what
``wetloop recover`` makes of it, opens and validates with pynwb, that its columns are of equal length, that nothing is
missing up to the sample that was acknowledged before the kill, that a replay agrees, and that no process lives on. Exit
code 1 if anything is not so. Other sessions must not run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from pynwb import NWBHDF5IO, validate

from wetloop.core.errors import WetloopError
from wetloop.engine.arena import Arena
from wetloop.engine.halt import PREFIX
from wetloop.engine.host import strays
from wetloop.engine.live import Shared
from wetloop.recording.journal import journal_path
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.replay import verify

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from live_process import ROLES, children

CONFIG = Path(__file__).parents[1] / "configs" / "pong.yaml"
VICTIMS = ("recorder", "engine", "session", "all", "source", "stimulator")
KEPT = (
    (),
    ("source.signal=samples", "recording.raw_samples=true", "recording.compression=none"),
    ("source.signal=samples", "recording.raw_samples=true", "recording.compression=gzip", "recording.journal=all"),
    ("source.signal=samples", "recording.raw_samples=true", "recording.compression=bitshuffle-lz4"),
)
"""Settings of the recording, in turn."""
SHORTEST_S, LONGEST_S = 0.2, 5.0
EARLY = 8
"""One kill in so many comes while the session starts."""
ENDS_S = 120.0


class Victim:
    """A session and its parts, by role; ``play`` waits until it plays."""

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        words = (f"recording.folder={folder}", *settings)
        command = [sys.executable, "-m", "wetloop", "run", str(CONFIG), "--duration", "1h"]
        command += [word for setting in words for word in ("--set", setting)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._plays = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            if "of 3600 s" in line:
                self._plays.set()
        self._plays.set()

    def play(self) -> None:
        """Wait until it has played for some seconds, or has ended."""
        self._plays.wait(ENDS_S)

    def parts(self) -> dict[str, int]:
        """Return the process ids of those parts that there are."""
        names = {f"wetloop-{role}"[:15]: role for role in ROLES}
        return {"session": self.process.pid, **{names[name]: pid for pid, name in children(self.process.pid)}}

    def acknowledged_sample(self, parts: dict[str, int]) -> int:
        """Return up to where the recorder says that everything is on the disk."""
        maps = Path(f"/proc/{parts['engine']}/maps").read_text(encoding="utf-8")
        name = re.search(rf"/{PREFIX}(\S+)", maps)
        return int(Shared.of(Arena.attach(name[1])).health[0]["acknowledged_sample"]) if name else 0

    def end(self, parts: dict[str, int]) -> None:
        """Wait until every part is gone."""
        self.process.wait(ENDS_S)
        end_s = time.monotonic() + ENDS_S
        while strays() or any(_alive(pid) for pid in parts.values()):
            if time.monotonic() > end_s:
                raise TimeoutError(f"processes live on: {strays()}, {parts}")
            time.sleep(0.05)
        self._listener.join(ENDS_S)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill_one(folder: Path, number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Play one session, kill what its turn says, and return what was left."""
    victim, kept = VICTIMS[number % len(VICTIMS)], KEPT[number % len(KEPT)]
    early = number % EARLY == EARLY - 1
    session = Victim(folder, kept)
    if early:
        time.sleep(rng.uniform(0.5, 8.0))
    else:
        session.play()
        time.sleep(rng.uniform(SHORTEST_S, LONGEST_S))
    parts = session.parts()
    acknowledged = 0 if early else session.acknowledged_sample(parts)
    aims = parts.values() if victim == "all" else [parts.get(victim, parts["session"])]
    for pid in aims:
        os.kill(pid, signal.SIGKILL)
    session.end(parts)
    told = {"number": number, "victim": victim, "early": early, "kept": kept[1:], "acknowledged": acknowledged}
    return told | left(folder, acknowledged)


def left(folder: Path, acknowledged: int) -> dict[str, Any]:
    """Return what is left of a recording, and what is wrong with it."""
    found = [*folder.glob("*.nwb"), *(p.with_name(p.name.removesuffix(".journal")) for p in folder.glob("*.journal"))]
    if not found:
        return {"left": "nothing", "fault": "acknowledged, but gone" if acknowledged else ""}
    path = found[0]
    begun_s = time.monotonic()
    try:
        report = recover(path)
    except WetloopError as error:
        blank = not acknowledged and not journal_path(path).exists()
        return {"left": "no session yet", "fault": "" if blank else str(error)}
    result = {"left": "whole" if report.whole else "recovered", "took_s": round(time.monotonic() - begun_s, 2)}
    made = path if report.whole else Path(report.recovered or "")
    with NWBHDF5IO(made, "r") as io:
        invalid = [str(error) for error in validate(io=io)]
    with Recording(made) as recording:
        stop = recording.extent()[1]
        n_decisions = len(recording.decisions())
    verdict = verify(made) if n_decisions else None
    faults = [
        *invalid,
        *([f"only up to sample {stop}"] if stop < acknowledged else []),
        *(["does not tell what is lost"] if not (report.whole or report.lost) else []),
        *(map(str, verdict.differences) if verdict else ()),
    ]
    return result | {"stop": stop, "decisions": n_decisions, "lost": report.lost, "fault": "; ".join(faults)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print each kill as one JSON object")
    arguments = parser.parse_args()
    rng, failed, counts = np.random.default_rng(arguments.seed), 0, dict.fromkeys(("whole", "recovered"), 0)
    for number in range(arguments.kills):
        with tempfile.TemporaryDirectory() as folder:
            told = kill_one(Path(folder), number, rng)
        failed += bool(told["fault"])
        counts[told["left"]] = counts.get(told["left"], 0) + 1
        print(json.dumps(told) if arguments.json else _line(told), flush=True)
    summary = {"kills": arguments.kills, **counts, "failed": failed}
    print(json.dumps(summary) if arguments.json else ", ".join(f"{name} {n}" for name, n in summary.items()))
    return int(failed > 0)


def _line(told: dict[str, Any]) -> str:
    when = "early" if told["early"] else f"acknowledged {told['acknowledged'] / 25e3:.1f} s"
    stop = f", up to {told['stop'] / 25e3:.1f} s" if "stop" in told else ""
    return f"{told['number']:3d} {told['victim']:10s} {when}: {told['left']}{stop}  {told['fault'] or 'ok'}"


if __name__ == "__main__":
    sys.exit(main())
