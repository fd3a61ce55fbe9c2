"""Pong through the emulated RHX in real time: what the file says was delivered is what reached the culture."""

import json
from collections import Counter
from pathlib import Path

import pytest

from wetloop.config import load_config
from wetloop.core.rig_pulses import TAKEN
from wetloop.emulation import bench
from wetloop.kernels.records import DELIVERED
from wetloop.recording.reached import stim_report
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

CONFIG = Path(__file__).parents[2] / "configs" / "pong_intan.yaml"
AT_THE_END = 8
"""Electrodes of a pulse that the rig took and that the end of the session may forget."""
KEY = ["sample_index", "pattern", "voice", "serial"]
PORTS = ("command_port", "waveform_port", "spike_port")


@pytest.fixture
def dish_behind_rhx():
    """Start a small culture behind RHX; yields the dish and what a configuration has to say of it."""
    settings = ["culture.settle_s=0", "culture.cells=100", *(f"intan-rhx.{port}=0" for port in PORTS)]
    dish, emulators = bench(["intan-rhx"], settings)
    told = dish.start(emulators)
    yield dish, [f"source.{key}={json.dumps(value)}" for key, value in told.items()]
    dish.close()
    assert dish.failure is None


def test_pong_runs_replays_and_stimulates_what_the_file_says(dish_behind_rhx, tmp_path):
    dish, source = dish_behind_rhx
    overrides = [*source, f"recording.folder={tmp_path}", "duration=3", "decoder.smoothing_ms=100"]
    summary = run_session(load_config(CONFIG, overrides), accelerated=False)
    assert (summary.ended, summary.lost_samples) == ("completed", 0)
    assert verify(Path(summary.file)).differences == []
    with Recording(summary.file) as recording:
        pulses, triggers, patterns = recording.pulses(), recording.triggers(), list(recording.patterns.values())
        seen, report = recording.seen_pulses(), stim_report(recording)
    taken = triggers[triggers["outcome"] == TAKEN]
    asked = Counter(channel for k in taken["pattern"].tolist() for channel in patterns[k].channels)
    came = Counter(channel for pulse in dish.delivered for channel in pulse.pattern.channels)
    assert came <= asked
    assert (asked - came).total() <= AT_THE_END
    assert len(taken) == summary.real_time["triggers_accepted_by_rig"] > 0
    delivered = pulses[pulses["fate"] == DELIVERED]
    assert set(triggers[KEY].tolist()) <= set(delivered[KEY].tolist())
    assert len(triggers) <= summary.real_time["pulses_forwarded"]
    assert Counter(seen["channel_index"].tolist()) <= came
    assert (report.taken, report.unasked) == (asked.total(), 0)
    assert 0 < report.seen == len(seen)
