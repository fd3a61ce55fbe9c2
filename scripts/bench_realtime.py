"""How punctual real time is: ``python scripts/bench_realtime.py [--seconds 10] [--json]``.

Every figure comes from a real session (source, engine, stimulator and recorder in processes of their own) on the
simulated culture, 64 channels x 25 kHz in 1 ms packets, detected from samples: host times in the recording, and the
times at which the stimulator was handed each pulse. Disturbances run in the session's process; a plain Python loop is
put under the same ones. A machine shared with others shows in p99.9 and max, which are told, not judged.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from wetloop import assembly, stages
from wetloop.config import parse_config
from wetloop.core.errors import RigError
from wetloop.core.types import Block, Kind, Priority, Timing, Update, VoiceSetting
from wetloop.engine.arena import Arena, segments
from wetloop.engine.live import DELIVERY, Shared, control_word
from wetloop.engine.words import STOP
from wetloop.kernels.records import SPIKE
from wetloop.kernels.rings import observe
from wetloop.recording.reader import Recording
from wetloop.session import Session

SECOND = 25_000
PLAN, LEAD = 99, 75
FRAME = SECOND // 1000
PERIOD_NS = 1_000_000
FAST = ["decision_ms=1", f"plan_ms={PLAN / FRAME}"]
ECHO = [
    "reflex.function=echo",
    "reflex.parameters=[40, 0]",
    "reflex.patterns={answer: {channels: [3], amplitude_mv: 75, phase_us: 200}}",
]


class Marker:
    """An encoder that asks for one pulse every tenth decision, as early as it may."""

    def __init__(self, table) -> None:
        self._places = [table.find(f"sensory {i}") for i in range(8)]

    def encode(self, _outcome, tick):
        if tick.decision_index % 10:
            return ()
        place, start = self._places[tick.decision_index // 10 % 8], tick.plan_sample
        return (
            VoiceSetting(
                0, place, Kind.SENSORY, Priority.SENSORY, Update.REPLACE, Timing.REGULAR, start, start + 1, 1e6
            ),
        )


class Deliveries(threading.Thread):
    """Collects what the stimulator forwards, as an observer that disturbs nobody."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(daemon=True)
        self._ring, self._halt, self.rows = shared.triggers, threading.Event(), []

    def run(self) -> None:
        cursor, out = 0, np.zeros(1024, DELIVERY)
        while not self._halt.wait(0.05):
            n, cursor, _lost = observe(self._ring, cursor, out)
            self.rows.append(out[:n].copy())

    def collect(self) -> np.ndarray:
        self._halt.wait(0.1)
        self._halt.set()
        self.join()
        return np.concatenate(self.rows)


def hog(stop: threading.Event) -> None:
    x = 0
    while not stop.is_set():
        for i in range(10_000):
            x += i


def collect_garbage(stop: threading.Event) -> None:
    keep = [{"a": [i]} for i in range(400_000)]
    while not stop.wait(0.05):
        gc.collect()
    del keep


def pause_self(stop: threading.Event) -> None:
    """Stop this whole process for a second, from outside."""
    if not stop.wait(2.0):
        os.system(f"(kill -STOP {os.getpid()}; sleep 1; kill -CONT {os.getpid()}) &")


def play(seconds: float, settings: list[str], disturb=None, *, marker: bool = True, dies: bool = False) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        common = [f"duration={seconds}", f"recording.folder={folder}", "source.signal=samples", "source.lead_ms=3"]
        setting, _ = assembly.describe(parse_config("", "bench", [*common, *settings]))
        players = assembly.players(setting)
        if marker:
            players = replace(players, encoder=Marker(setting.table))
        stop = threading.Event()
        stage = stages.live_stage(setting, players.task, threading.Event())
        try:
            stage.rig.warm_up()
            watcher = Deliveries(stage.shared)
            watcher.start()
            if disturb is not None:
                threading.Thread(target=disturb, args=(stop,), daemon=True).start()
            n_decisions = round(seconds * 1000 / setting.config.decision_ms)
            with contextlib.suppress(RigError) if dies else contextlib.nullcontext(), stage.rig:
                Session(stage.rig, players, stage.log).run(n_decisions, threading.Event())
            stop.set()
            deliveries, facts = watcher.collect(), stage.facts()
            stage.log.finish({})
        finally:
            stop.set()
            stage.close()
        with Recording(next(Path(folder).glob("*.nwb"))) as recording:
            rows = {"blocks": recording.blocks(), "pulses": recording.pulses(), "decisions": recording.decisions()}
        return rows | {"deliveries": deliveries, "facts": facts, "dropped": stage.engine.dropped}


def microseconds(values_ns: np.ndarray) -> dict[str, float]:
    names = ("p50_us", "p99_us", "p99.9_us", "max_us")
    return dict(zip(names, (np.percentile(values_ns, [50, 99, 99.9, 100]) / 1e3).round(1).tolist(), strict=True)) | {
        "n": len(values_ns)
    }


def arrivals(run: dict, stops: np.ndarray) -> np.ndarray:
    blocks = run["blocks"]
    return blocks["arrival_ns"][np.searchsorted(blocks["start_sample"] + blocks["n_samples"], stops)]


def late_share(run: dict) -> float:
    blocks = run["blocks"]
    return float((blocks["done_ns"] - blocks["arrival_ns"] > PERIOD_NS).mean())


def python_loop(seconds: float, disturb) -> float:
    """Return the share of late blocks of the same engine, called by a Python thread under the same disturbance."""
    setting, _ = assembly.describe(parse_config("", "bench", ["source.signal=samples"]))
    engine, rng, stop = assembly.engine_of(setting), np.random.default_rng(1), threading.Event()
    samples, none = rng.normal(0, 30, (25, 64)).astype(np.int16), np.zeros(0, SPIKE)
    engine.advance(Block(0, 0, samples[:0], none), 0)
    threading.Thread(target=disturb, args=(stop,), daemon=True).start()
    stop.wait(0.5)
    begun, late, n = time.monotonic(), 0, round(seconds * 1000)
    for k in range(n):
        due = begun + (k + 1) * 1e-3
        time.sleep(max(0.0, due - time.monotonic()))
        engine.advance(Block(k * 25, 25, samples, none), (k + 1) * 25)
        engine.recorded_blocks.take()
        late += time.monotonic() - due > 1e-3
    stop.set()
    return late / n


def marker_latency(run: dict) -> np.ndarray:
    rows = run["deliveries"][run["deliveries"]["voice"] == 0]
    return rows["forwarded_ns"] - arrivals(run, rows["sample_index"] - PLAN)


def late_percent(pulses: np.ndarray) -> float:
    return round(100 * float((pulses["fate"] == 1).mean()), 2)


def role_pid(role: str) -> int:
    """Return the process id of one of this process's parts."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            parent = int((comm.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and comm.read_text().strip() == f"wetloop-{role}"[:15]:
                return int(comm.parent.name)
        except OSError:
            continue
    raise RuntimeError(f"no {role} process")


class CpuWatch:
    """A disturbance that disturbs nothing: measures the CPU of engine and recorder, percent of a core."""

    def __call__(self, stop: threading.Event) -> None:
        pids = {role: role_pid(role) for role in ("engine", "recorder")}
        stop.wait(1.0)
        before, begun = {role: self._cpu_s(pid) for role, pid in pids.items()}, time.monotonic()
        self.percent = dict.fromkeys(pids, 0.0)
        while not stop.wait(0.5):
            for role, pid in pids.items():
                used = self._cpu_s(pid) - before[role]
                self.percent[role] = round(100 * used / (time.monotonic() - begun), 1)

    @staticmethod
    def _cpu_s(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch_spikes(name: str) -> None:
    """Read spikes as a telemetry reader would, in a process of its own, until the session ends."""
    shared, cursor, out = Shared.of(Arena.attach(name)), 0, np.zeros(4096, SPIKE)
    while not control_word(shared.control, STOP):
        _, cursor, _lost = observe(shared.rings.spikes, cursor, out)
        time.sleep(0.02)


def render_frames(name: str) -> None:
    """Work as Doom does: about 1 ms of every 28, and a frame of 320 x 240 moved each time."""
    control, frame = Shared.of(Arena.attach(name)).control, np.zeros((240, 320, 3), np.uint8)
    while not control_word(control, STOP):
        for _ in range(8):
            frame = np.roll(frame, 1, axis=1) ^ 1
        time.sleep(1 / 35)


def soak(minutes: float) -> dict[str, float]:
    """Return what was lost and late in a long session at 1 kHz with four readers, a game's load and the recorder."""
    helpers = []

    def accompany(_stop: threading.Event) -> None:
        name = next(segment.name for segment in segments() if not segment.stale)
        for job in (*[watch_spikes] * 4, render_frames):
            helpers.append(multiprocessing.get_context("spawn").Process(target=job, args=(name,), daemon=True))
            helpers[-1].start()

    run = play(60 * minutes, FAST, accompany)
    for helper in helpers:
        helper.join(10)
    late_decisions = float((run["decisions"]["lateness_us"] > 1000).mean())
    return {
        "lost_samples": int(run["blocks"]["lost_samples"].sum()),
        "dropped": sum(run["dropped"].values()) + run["facts"]["dropped_packets"] + run["facts"]["dropped_decisions"],
        "blocks": len(run["blocks"]),
        "late_blocks": int(run["facts"]["late_blocks"]),
        "late_decisions_percent": round(100 * late_decisions, 2),
    }


def kill_engine(seconds: float) -> float:
    """Return how long after a SIGKILL of the engine the stimulator was handed the last pulse, ms (0: none after it)."""
    killed = []

    def kill(stop: threading.Event) -> None:
        stop.wait(seconds / 2)
        engine = role_pid("engine")
        killed.append(time.monotonic_ns())
        os.kill(engine, signal.SIGKILL)

    deliveries = play(seconds, FAST, kill, dies=True)["deliveries"]
    after = deliveries["forwarded_ns"][deliveries["forwarded_ns"] > killed[0]]
    return round(float((after.max() - killed[0]) / 1e6), 2) if len(after) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="only a long session with readers and a game's load"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    chosen = figures(arguments.seconds)
    if arguments.soak:
        chosen = [
            (f"{arguments.soak:g} minutes at 1 kHz, four readers, a game's load", "nothing lost", soak(arguments.soak))
        ]
    for figure, goal, values in chosen:
        rows.append({"figure": figure, "goal": goal, **values})
        if not arguments.json:
            told = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"{figure:64s} {told}   (goal {goal})", flush=True)
    if arguments.json:
        print(json.dumps(rows))


def figures(seconds: float):
    """Yield (figure, goal, values)."""
    yield from undisturbed(seconds)
    for name, disturb in (("a GIL hog", hog), ("gc of 0.4 M objects", collect_garbage)):
        run, python = play(seconds, [], disturb, marker=False), python_loop(min(5.0, seconds), disturb)
        share = late_share(run)
        fewer = round(python / max(share, 1 / len(run["blocks"])), 1)
        values = {"percent": round(100 * share, 3), "python_percent": round(100 * python, 1), "times_fewer": fewer}
        yield f"late blocks with {name}: engine against a Python loop", "<= 1 %, 20x fewer", values
        sensory = run["pulses"][run["pulses"]["kind"] == 0]
        yield f"pulses late with {name}, planned 10 ms ahead", "reported", {"percent": late_percent(sensory)}
    yield "session stopped for 1 s", "0 late blocks; lease 50 ms + 1", stopped(max(seconds, 6))
    yield "engine killed: last pulse at the stimulator after", "lease 50 ms", {"ms": kill_engine(seconds)}
    watch = CpuWatch()
    large = [
        "source.probe.columns=32",
        "source.probe.rows=32",
        "source.probe.pitch_um=50",
        "recording.raw_samples=true",
    ]
    run = play(seconds, [*large, "source.sampling_frequency_hz=20000"], watch, marker=False)
    lost = int(run["blocks"]["lost_samples"].sum()) + sum(run["dropped"].values()) + run["facts"]["dropped_packets"]
    yield "1,024 ch x 20 kHz, raw samples kept: CPU, lost", "5 / 15 % of a core, 0", {**watch.percent, "lost": lost}


def undisturbed(seconds: float):
    """Yield the figures of sessions that nothing disturbs."""
    plain = play(seconds, FAST)
    blocks = plain["blocks"]
    yield "permissions", "", plain["facts"]["permissions"]["engine"]
    yield "block arrival to counts ready", "6 / 60 us", microseconds(blocks["done_ns"] - blocks["arrival_ns"])
    yield (
        "block arrival to the session's pulse at the stimulator, 1 kHz",
        "1100 / 2200 us",
        microseconds(marker_latency(plain)),
    )
    marks = plain["pulses"][plain["pulses"]["voice"] == 0]
    yield "pulses late, planned 4 ms ahead, 1 kHz decisions", "reported", {"percent": late_percent(marks)}
    lost = {"lost": int(blocks["lost_samples"].sum()), "dropped": sum(plain["dropped"].values())}
    yield "lost samples, dropped records", "0", lost
    reflex = play(2 * seconds, ECHO, marker=False)
    sensory = reflex["pulses"][reflex["pulses"]["kind"] == 0]
    yield "pulses late, planned one decision (10 ms) ahead", "<= 1 %", {"percent": late_percent(sensory)}
    admitted = {"late_at_rig": reflex["facts"]["triggers_late_at_rig"], "delivered": len(reflex["deliveries"])}
    yield "admitted pulses that reached the rig too late", "0", admitted
    answers = reflex["deliveries"][reflex["deliveries"]["voice"] == 63]
    frame_ends = answers["sample_index"] - LEAD + FRAME
    if len(answers):
        answer_ns = answers["forwarded_ns"] - arrivals(reflex, frame_ends)
        yield "block arrival to the reflex's pulse at the stimulator", "60 / 150 us", microseconds(answer_ns)


def stopped(seconds: float) -> dict[str, float]:
    """Return what a session that was stopped for a second did meanwhile."""
    run = play(seconds, [], pause_self, marker=False)
    decisions, blocks = run["decisions"], run["blocks"]
    worst = int(decisions["lateness_us"].argmax())
    last, stopped_us = decisions["stop_sample"][worst - 1], float(decisions["lateness_us"][worst])
    delivered = run["pulses"][run["pulses"]["fate"] == 0]["sample_index"]
    woken = decisions["stop_sample"][worst] + stopped_us / 1e6 * SECOND - SECOND // 100
    during = delivered[(delivered > last) & (delivered < woken)]
    return {
        "late_blocks": int((blocks["done_ns"] - blocks["arrival_ns"] > PERIOD_NS).sum()),
        "stopped_ms": round(stopped_us / 1e3),
        "silent_after_ms": round(float((during.max() - last) / FRAME) if len(during) else 0.0, 1),
    }


if __name__ == "__main__":
    main()
