"""A closed loop in real time whose pulses leave through an emulated Pulse Pal."""

from collections import Counter
from pathlib import Path

import pytest

from wetloop.config import parse_config
from wetloop.core.errors import GuardError, RigError
from wetloop.emulation import bench
from wetloop.kernels.records import DELIVERED
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

OUTPUTS = {1: [0], 2: [2], 3: [5], 4: [7]}
SETTINGS = (
    "source.kind=poisson", "layout.sensory_electrodes=4", "feedback.random.amplitude_mv=75", "stimulator.kind=pulsepal",
    f"stimulator.outputs={OUTPUTS}", "plan_ms=20",
)  # fmt: skip


@pytest.fixture
def rig():
    dish, (emulator,) = bench(["pulsepal"], ["culture.kind=poisson", f"pulsepal.outputs={OUTPUTS}"])
    settings = dish.start([emulator])
    yield dish, emulator, f"stimulator.ports=['{settings['ports'][0]}']"
    dish.close()
    assert dish.failure is None


def play(folder, *settings):
    config = parse_config("", "live", [*SETTINGS, f"recording.folder={folder}", *settings])
    return run_session(config, accelerated=False)


def test_every_pulse_that_the_file_calls_accepted_reached_the_culture(tmp_path, rig):
    dish, _, port = rig
    summary = play(tmp_path, port, "duration=3")
    facts = summary.real_time
    with Recording(summary.file) as recording:
        pulses = recording.pulses()
    assert summary.ended == "completed"
    assert facts["triggers_accepted_by_rig"] == len(dish.delivered) > 0
    recorded = Counter(pulses["pattern"][pulses["fate"] == DELIVERED].tolist())
    assert sum(recorded.values()) >= len(dish.delivered)
    assert {pulse.pattern.channels for pulse in dish.delivered} <= {(0,), (2,), (5,), (7,), (0, 2, 5, 7)}
    assert verify(Path(summary.file)).differences == []


def test_a_cut_cable_ends_the_session_with_a_whole_file(tmp_path, rig):
    dish, emulator, port = rig
    config = parse_config("", "live", [*SETTINGS, f"recording.folder={tmp_path}", port, "duration=60"])
    with pytest.raises(RigError, match="Pulse Pal at .* is gone"):
        run_session(config, on_progress=lambda at: emulator.unplug() if at.rig_s > 0 else None, accelerated=False)
    (file,) = tmp_path.glob("*.nwb")
    with Recording(file) as recording:
        assert len(recording.decisions()) > 0
    assert dish.failure is None
    assert verify(file).differences == []


def test_two_amplitudes_on_one_output_are_refused_before_the_run(tmp_path, rig):
    with pytest.raises(GuardError, match="pulsepal cannot load the session's patterns"):
        play(tmp_path, rig[2], "duration=3", "feedback.random.amplitude_mv=150")
