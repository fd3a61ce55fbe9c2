"""Closed loops in real time whose pulses leave through emulated serial stimulators."""

import threading
from pathlib import Path

import pytest

from wetloop.config import parse_config
from wetloop.core.errors import GuardError, RigError
from wetloop.core.rig_pulses import REFUSED
from wetloop.emulation import bench
from wetloop.engine.alarm_rows import plain
from wetloop.engine.words import ACCEPTED, LATE_AT_RIG
from wetloop.kernels.records import DELIVERED
from wetloop.recording.reached import reached
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

FOUR, TWO = {1: [0], 2: [2], 3: [5], 4: [7]}, {1: [0], 2: [7]}
LINES = [{"bit": k, "electrodes": fed, "amplitude": 75, "phase_us": 200} for k, fed in FOUR.items()]
SOME = 3
"""Pulses that show that it works."""
SHARED = ("source.kind=poisson", "feedback.random.amplitude_mv=75", "plan_ms=20")
AMPERES = [f"{part}.amplitude_ua=5" for part in ("encoder", "feedback.predictable", "feedback.random")]
MAKES = {
    "pulsepal": ((f"outputs={FOUR}",), ("layout.sensory_electrodes=4",)),
    "stimjim": ((f"outputs={TWO}",), ("layout.sensory_electrodes=2", *AMPERES)),
    "harp": ((f"lines={LINES}",), ("layout.sensory_electrodes=4",)),
}
"""Wiring on both sides, and the rest of the session."""


@pytest.fixture
def rig_with_spare(tmp_path):
    """Start an emulator; return the dish, it, one that is not plugged in, and the settings of a session."""
    dishes, spares = [], []

    def start(kind):
        wiring, session = MAKES[kind]
        wires = [f"{kind}.{wire}" for wire in (*wiring, f"link={tmp_path / kind}")]
        dish, (emulator, spare) = bench([kind, kind], ["culture.kind=poisson", *wires])
        dishes.append(dish)
        spares.append(spare)
        port = dish.start([emulator])["ports"][0]
        own = (f"stimulator.kind={kind}", f"stimulator.ports=['{port}']", *(f"stimulator.{w}" for w in wiring))
        return dish, emulator, spare, [*SHARED, *session, *own]

    yield start
    for spare in spares:
        spare.close()
    for dish in dishes:
        dish.close()
        assert dish.failure is None


@pytest.fixture
def rig(rig_with_spare):
    """Start an emulator; return the dish, the emulator and the settings of a session."""

    def start(kind):
        dish, emulator, _, settings = rig_with_spare(kind)
        return dish, emulator, settings

    return start


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


class Replugged:
    """Unplugs a device that has delivered, plugs a spare in when pulses were missed, and ends when it has delivered.

    Attributes
    ----------
    counts
        Pulses that were taken and missed so far: when the device was seen to be gone, and before it came back.
    """

    def __init__(self, emulator, spare):
        self._emulator, self._spare = emulator, spare
        self._missed_before = -1
        self.counts, self.stop, self._control = [], threading.Event(), None

    def watch(self, stage):
        self._control = stage.shared.control

    def look(self, _):
        missed, taken = int(self._control[LATE_AT_RIG]), int(self._control[ACCEPTED])
        if self._missed_before < 0:
            if taken >= SOME:
                self._emulator.unplug()
                self._missed_before = int(self._control[LATE_AT_RIG])
        elif not self.counts:
            if missed > self._missed_before:
                self.counts.append((taken, missed))
        elif len(self.counts) == 1:
            if missed >= self.counts[0][1] + SOME:
                self.counts.append((taken, missed))
                self._spare.open()
        elif taken >= self.counts[1][0] + SOME:
            self.stop.set()


def test_what_a_device_missed_while_it_was_unplugged_is_in_the_file(tmp_path, rig_with_spare):
    _, emulator, spare, settings = rig_with_spare("pulsepal")
    reconnect = ("stimulator.reconnect.policy=reconnect", "stimulator.reconnect.patience_s=60")
    strict = ("watch.refused.share=0", "watch.refused.at_least=1")
    config = parse_config("", "live", [*settings, *reconnect, *strict, f"recording.folder={tmp_path}", "duration=60"])
    cable = Replugged(emulator, spare)
    summary = run_session(config, accelerated=False, on_progress=cable.look, on_stage=cable.watch, stop=cable.stop)
    assert summary.ended == "interrupted"
    with Recording(Path(summary.file)) as recording:
        given = reached(recording)[recording.pulses()["fate"] == DELIVERED]
        refused = (recording.triggers()["outcome"] == REFUSED).sum()
        alarms = [(alarm["watch"], alarm["state"]) for alarm in plain(recording.alarms())]
    assert ("refused", "raised") in alarms
    (taken, seen), (still_taken, missed) = cable.counts
    assert taken == still_taken >= SOME
    assert not given[taken + seen : taken + missed].any()
    assert given[: taken + missed].sum() == taken
    assert given[taken + missed :].sum() >= SOME
    assert refused == summary.real_time["triggers_late_at_rig"] <= (~given).sum()
    assert verify(Path(summary.file)).differences == []


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
