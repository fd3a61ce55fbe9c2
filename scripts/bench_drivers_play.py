"""Pong in real time through each emulator, which is a process of its own: rows of ``bench_drivers.py``."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from wetloop.config import load_config
from wetloop.recording.reached import stim_report
from wetloop.recording.reader import Recording
from wetloop.session import run_session

CONFIGS = Path(__file__).parents[1] / "configs"
FOUR, TWO = {1: [0], 2: [2], 3: [5], 4: [7]}, {1: [0], 2: [7]}
LINES = [{"bit": k, "electrodes": fed, "amplitude": 75, "phase_us": 200} for k, fed in FOUR.items()]
BESIDE = ("source.kind=culture", "feedback.random.amplitude_mv=75", "plan_ms=20")
AMPERES = [f"{part}.amplitude_ua=5" for part in ("encoder", "feedback.predictable", "feedback.random")]
RIGS = {
    "intan-rhx": ("pong_intan.yaml", (), ()),
    "open-ephys": ("pong_open_ephys.yaml", (), ()),
    "maxlab": ("pong_maxlab.yaml", (), ()),
    "cl1": ("pong_cl1.yaml", (), ()),
    "lsl": ("pong_lsl.yaml", (), ()),
    "pulsepal": ("pong.yaml", (f"outputs={FOUR}",), (*BESIDE, "layout.sensory_electrodes=4")),
    "stimjim": ("pong.yaml", (f"outputs={TWO}",), (*BESIDE, "layout.sensory_electrodes=2", *AMPERES)),
    "harp": ("pong.yaml", (f"lines={LINES}",), (*BESIDE, "layout.sensory_electrodes=4")),
}
"""Configuration, wiring on both sides, and the rest of the session. Serial stimulators stand beside a culture that does
not feel their pulses: it is the wire that is measured."""


class Emulator:
    """``wetloop emulate`` of one kind; ``settings`` are those of its driver."""

    def __init__(self, kind, wiring):
        words = [word for wire in wiring for word in ("--set", f"{kind}.{wire}")]
        command = [sys.executable, "-m", "wetloop", "emulate", kind, "--json", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.settings = json.loads(self.process.stdout.readline())

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def configured(kind, settings, folder, minutes):
    """Return the configuration with the emulator's settings where source and stimulator have such fields."""
    name, wiring, more = RIGS[kind]
    own = [f"stimulator.kind={kind}", *(f"stimulator.{wire}" for wire in wiring)] if wiring else []
    plain = load_config(CONFIGS / name, [*more, *own])
    given = [*more, *own, f"recording.folder={folder}", f"duration={60 * minutes}"]
    for section in ("source", "stimulator") if not wiring else ("stimulator",):
        fields = type(getattr(plain, section)).model_fields
        given += [f"{section}.{key}={json.dumps(value)}" for key, value in settings.items() if key in fields]
    return load_config(CONFIGS / name, given)


def played(kind, minutes):
    """Play, and return what came of it."""
    emulator = Emulator(kind, RIGS[kind][1])
    try:
        with tempfile.TemporaryDirectory() as folder:
            config = configured(kind, emulator.settings, folder, minutes)
            summary = run_session(config, accelerated=False)
            with Recording(Path(summary.file)) as recording:
                decisions, told = recording.decisions(), stim_report(recording)
    finally:
        emulator.close()
    facts, accepted = summary.real_time, summary.real_time["triggers_accepted_by_rig"]
    ages_us = decisions["spike_age_us"][decisions["spike_age_us"] >= 0]
    late = int((decisions["lateness_us"] > 1000 * config.decision_ms).sum())
    asked = facts["pulses_forwarded"]
    seen = (
        f"; it tells of {told.seen} of {told.taken} on electrodes, {told.delay_ms_median:.2f} ms late"
        if told.seen
        else ""
    )
    return (
        f"{summary.ended}, {summary.lost_samples} samples lost; {summary.decisions} decisions, {late} late by more "
        f"than a period, {summary.late_decisions} late; {accepted} of {asked} triggers accepted{seen}; "
        f"newest spike {np.percentile(ages_us, 50) / 1000:.1f} ms old (p99 {np.percentile(ages_us, 99) / 1000:.1f})"
    ), summary.ended == "completed" and summary.lost_samples == 0
