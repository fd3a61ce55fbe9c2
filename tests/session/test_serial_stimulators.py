"""Closed loops in real time whose pulses leave through emulated serial stimulators."""

from pathlib import Path

import pytest

from wetloop.config import parse_config
from wetloop.core.errors import GuardError, RigError
from wetloop.emulation import bench
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

FOUR, TWO = {1: [0], 2: [2], 3: [5], 4: [7]}, {1: [0], 2: [7]}
LINES = [{"bit": k, "electrodes": fed, "amplitude": 75, "phase_us": 200} for k, fed in FOUR.items()]
SHARED = ("source.kind=poisson", "feedback.random.amplitude_mv=75", "plan_ms=20")
AMPERES = [f"{part}.amplitude_ua=5" for part in ("encoder", "feedback.predictable", "feedback.random")]
MAKES = {
    "pulsepal": ((f"outputs={FOUR}",), ("layout.sensory_electrodes=4",)),
    "stimjim": ((f"outputs={TWO}",), ("layout.sensory_electrodes=2", *AMPERES)),
    "harp": ((f"lines={LINES}",), ("layout.sensory_electrodes=4",)),
}
"""Wiring on both sides, and the rest of the session."""


@pytest.fixture
def rig():
    """Start an emulator; return the dish, the emulator and the settings of a session."""
    dishes = []

    def start(kind):
        wiring, session = MAKES[kind]
        dish, (emulator,) = bench([kind], ["culture.kind=poisson", *(f"{kind}.{wires}" for wires in wiring)])
        dishes.append(dish)
        port = dish.start([emulator])["ports"][0]
        own = (f"stimulator.kind={kind}", f"stimulator.ports=['{port}']", *(f"stimulator.{w}" for w in wiring))
        return dish, emulator, [*SHARED, *session, *own]

    yield start
    for dish in dishes:
        dish.close()
        assert dish.failure is None


@pytest.mark.parametrize("kind", MAKES)
def test_every_trigger_that_was_accepted_reached_the_culture(tmp_path, rig, kind):
    dish, _, settings = rig(kind)
    config = parse_config("", "live", [*settings, f"recording.folder={tmp_path}", "duration=3"])
    summary = run_session(config, accelerated=False)
    facts, fed = summary.real_time, FOUR if kind != "stimjim" else TWO
    assert summary.ended == "completed"
    every = {electrode for electrodes in fed.values() for electrode in electrodes}
    reached = [pulse.pattern.channels for pulse in dish.delivered]
    assert 0 < facts["triggers_accepted_by_rig"] <= sum(map(len, reached))
    assert {electrode for channels in reached for electrode in channels} <= every
    delivered = sum(fates["delivered"] for fates in summary.pulses.values())
    assert delivered == facts["pulses_forwarded"] + facts["pulses_held_back"] + facts["pulses_unread"]
    assert verify(Path(summary.file)).differences == []


def test_a_cut_cable_ends_the_session_with_a_whole_file(tmp_path, rig):
    _, emulator, settings = rig("pulsepal")
    config = parse_config("", "live", [*settings, f"recording.folder={tmp_path}", "duration=60"])
    with pytest.raises(RigError, match=r"Pulse Pal at .* is gone"):
        run_session(config, on_progress=lambda at: emulator.unplug() if at.rig_s > 0 else None, accelerated=False)
    (file,) = tmp_path.glob("*.nwb")
    with Recording(file) as recording:
        assert len(recording.decisions()) > 0
    assert verify(file).differences == []


def test_a_stop_input_silences_the_rig_and_ends_the_session(tmp_path, rig):
    dish, emulator, settings = rig("harp")
    overrides = [*settings, "stimulator.stop_input=1", f"recording.folder={tmp_path}", "duration=60"]
    pressed = []

    def press_once(at):
        if at.rig_s > 1 and not pressed:
            emulator.press_stop()
            pressed.append(at.rig_s)

    summary = run_session(parse_config("", "live", overrides), accelerated=False, on_progress=press_once)
    assert (summary.ended, summary.duration_s < 60) == ("stopped", True)
    last = summary.transitions[-1]
    assert (last["state"], last["who"], last["why"]) == ("disarmed", "stop input of the rig", "emergency stop")
    assert summary.real_time["triggers_accepted_by_rig"] > 0
    assert len(dish.delivered) > 0
    assert verify(Path(summary.file)).differences == []


def test_two_amplitudes_on_one_output_are_refused_before_the_run(tmp_path, rig):
    _, _, settings = rig("pulsepal")
    overrides = [*settings, f"recording.folder={tmp_path}", "feedback.random.amplitude_mv=150"]
    with pytest.raises(GuardError, match="pulsepal cannot load the session's patterns"):
        run_session(parse_config("", "live", overrides), accelerated=False)
