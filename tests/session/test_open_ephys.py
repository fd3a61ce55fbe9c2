"""DishBrain Pong through an emulated Open Ephys GUI, in real time, over its real wires."""

from functools import partial
from pathlib import Path

import pytest

from wetloop.config import load_config
from wetloop.core.errors import GuardError
from wetloop.kernels.records import DELIVERED
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

CONFIG = Path(__file__).parents[2] / "configs" / "pong_open_ephys.yaml"
PORTS = [f"open-ephys.{name}=0" for name in ("http_port", "data_port", "events_port")]
SETUPS = {
    "spikes": ([], "network-events"),
    "falcon": (["culture.signal=samples", "open-ephys.transport=falcon"], "message"),
}


@pytest.fixture
def started(benched):
    return partial(benched, "open-ephys", "culture.settle_s=0", "culture.cells=100", *PORTS)


def without_the_group(through):
    """Return what makes the session one for the eight lines of the board, none of which reaches all electrodes."""
    return ["stimulator.through=message", "feedback={kind: none}"] if through == "message" else []


@pytest.mark.parametrize("setup", SETUPS)
def test_pong_is_played_and_every_pulse_arrives(started, reaching, setup):
    emulated, through = SETUPS[setup]
    dish, _, settings = started(*emulated)
    more = without_the_group(through)
    if more:
        settings = settings | {"lines": settings["lines"][:8]}
    config = reaching(CONFIG, settings, "duration=5", "plan_ms=200", "guard.lease_ms=400", *more)
    summary = run_session(config, accelerated=False)
    assert summary.ended == "completed"
    assert summary.lost_samples == 0
    accepted = summary.real_time["triggers_accepted_by_rig"]
    with Recording(summary.file) as recording:
        pulses, table = recording.pulses(), config.stimulator.lines
        pulses = pulses[pulses["fate"] == DELIVERED]
        loaded = list(recording.patterns.values())
        asked = iter([tuple(loaded[k].channels) for k in pulses["pattern"]])
    told = [pulse.pattern.channels for pulse in dish.delivered]
    assert len(told) == accepted > 0
    assert all(electrodes in asked for electrodes in told)
    assert {pulse.pattern.pulse for pulse in dish.delivered} == {table[0].pattern("mV").pulse}
    assert verify(Path(summary.file)).agrees


def test_a_cut_cable_ends_the_session_with_a_whole_file(started, reaching, cut_in_play):
    _, emulator, settings = started()
    cut_in_play(reaching(CONFIG, settings, "duration=60"), emulator, "Open Ephys GUI")


def test_what_no_line_delivers_is_refused_before_the_run(tmp_path):
    config = load_config(CONFIG, [f"recording.folder={tmp_path}", "encoder.amplitude_mv=75"])
    with pytest.raises(GuardError, match=r"line 1 delivers -100 / 100 mV, 200 / 200 us on \[0\]"):
        run_session(config, accelerated=False)


def test_a_source_alone_stimulates_nothing(tmp_path):
    config = load_config(CONFIG, [f"recording.folder={tmp_path}", "stimulator={kind: source}"])
    with pytest.raises(GuardError):
        run_session(config, accelerated=False)
