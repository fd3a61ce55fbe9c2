"""DishBrain Pong through an emulated CL1, in real time, over the calls of the vendor's API."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from wetloop.core.errors import GuardError, LatePulseError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.rig_pulses import TAKEN
from wetloop.emulation import bench
from wetloop.recording.reached import stim_report
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session
from wetloop_drivers.cl1 import Cl1Config

CONFIG = Path(__file__).parents[2] / "configs" / "pong_cl1.yaml"
AT_THE_END = 8
"""Electrodes of a pulse that the rig took and that the end of the session may forget."""
SMALL = ["culture.settle_s=0", "culture.cells=100", "cl1.stream_port=0"]


@pytest.fixture
def started(benched):
    return partial(benched, "cl1", *SMALL)


def test_pong_is_played_and_every_accepted_pulse_arrives(emulated, reaching):
    rig = emulated("cl1", *SMALL, "culture.cells=400")
    summary = run_session(reaching(CONFIG, rig.settings, "duration=4"), accelerated=False)
    assert (summary.ended, summary.lost_samples) == ("completed", 0)
    assert rig.end() == summary.real_time["triggers_accepted_by_rig"] > 0
    assert summary.spikes > 0
    assert verify(Path(summary.file)).agrees


def test_what_the_file_says_was_delivered_reached_the_culture_there(started, reaching):
    dish, _, settings = started()
    summary = run_session(reaching(CONFIG, settings, "duration=3"), accelerated=False)
    with Recording(summary.file) as recording:
        triggers, patterns = recording.triggers(), list(recording.patterns.values())
        report = stim_report(recording)
    where = Cl1Config(**settings).build(1).info.probe.contact_ids.astype(int)
    on_dish = {c: int(n % 8 * 8 + n // 8) for c, n in enumerate(where)}
    told = [patterns[k].channels for k in triggers["pattern"][triggers["outcome"] == TAKEN]]
    asked = Counter(on_dish[channel] for channels in told for channel in channels)
    came = Counter(channel for pulse in dish.delivered for channel in pulse.pattern.channels)
    assert came <= asked
    assert (asked - came).total() <= AT_THE_END
    assert (report.taken, report.unasked) == (asked.total(), 0)
    assert report.seen > 0
    assert report.delay_ms_median == 0


def test_a_device_that_is_gone_ends_the_session_with_a_whole_file(started, reaching, cut_in_play):
    _, emulator, settings = started()
    cut_in_play(reaching(CONFIG, settings, "duration=60"), emulator, "CL1")


PULSE = Pulse(-1.0, 200.0, 0.5, 400.0, "uA")


@pytest.fixture
def opened():
    """Open rigs with one pattern prepared; all of them are closed at the end."""
    rigs = []

    def make(settings, channels=(0,)):
        rig = Cl1Config(**settings).build(1)
        rigs.append(rig)
        rig.open()
        rig.prepare(StimGuard(rig.info).prepare({"one": Pattern(PULSE, channels)}))
        return rig

    yield make
    for rig in rigs:
        rig.close()


def ahead_of(rig, block, ms=200):
    return block.start_sample + rig.info.samples(ms)


def test_a_pulse_comes_at_its_sample_on_its_electrode_and_is_told(started, opened):
    dish, _, settings = started()
    rig = opened(settings, (0, 7))
    due = ahead_of(rig, rig.read())
    rig.trigger(0, due)
    while rig.read().start_sample < due + 25:
        pass
    (delivered,) = dish.delivered
    below_the_corner, third_of_column_two = 8, 17
    assert (delivered.sample_index, delivered.pattern.channels) == (due, (below_the_corner, third_of_column_two))
    seen = rig.take_seen()
    assert (seen["sample_index"].tolist(), seen["channel_index"].tolist()) == ([due, due], [0, 7])


def test_silence_forgets_what_is_planned_and_takes_nothing_more(started, opened):
    dish, emulator, settings = started()
    rig = opened(settings)
    due = ahead_of(rig, rig.read())
    rig.trigger(0, due)
    rig.silence()
    rig.trigger(0, due + 500)
    rig.ping()
    assert dish.delivered == []
    assert emulator.board.heard[-2:] == ["run", "interrupt"]


def test_a_pulse_that_would_be_late_or_out_of_order_is_refused(started, opened):
    dish, _, settings = started()
    rig = opened(settings)
    block = rig.read()
    with pytest.raises(LatePulseError, match="too near"):
        rig.trigger(0, block.start_sample + 1)
    rig.trigger(0, ahead_of(rig, block, 900))
    with pytest.raises(LatePulseError, match="planned already"):
        rig.trigger(0, ahead_of(rig, block, 800))
    assert len(dish.delivered) == 1


def test_samples_come_as_the_culture_gave_them(started, opened):
    _, _, settings = started("culture.signal=samples")
    rig = opened(settings)
    samples = np.concatenate([rig.read().samples for _ in range(20)])
    assert samples.shape[1] == 59
    assert np.median(samples.std(axis=0)) * rig.info.gain_uv[0] == pytest.approx(5.5, abs=1.5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sampling_frequency_hz": 20_000}, "set source.sampling_frequency_hz to 25000"),
        ({"package_folder": "nowhere"}, r"package cl cannot be imported .* source\.package_folder"),
    ],
)
def test_a_device_that_is_not_what_was_said_is_refused(started, changed, told, monkeypatch):
    _, _, settings = started()
    monkeypatch.setattr("sys.path", [path for path in sys.path if "cl1-" not in path])
    rig = Cl1Config(**settings | changed).build(1)
    with pytest.raises(RigError, match=told):
        rig.open()
    rig.close()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("encoder.phase_us=210", "steps of 20 us"),
        ("feedback.random.amplitude_ua=4", "over the limit"),
    ],
)
def test_what_a_cl1_cannot_deliver_is_refused_before_the_run(reaching, setting, told):
    with pytest.raises(GuardError, match=told):
        run_session(reaching(CONFIG, {}, setting), accelerated=False)


@pytest.mark.parametrize("channels", [(1, 4), (64,), (1, 1), ()])
def test_channels_without_an_electrode_are_refused(channels):
    with pytest.raises(ValueError, match="channels are different ones"):
        Cl1Config(channels=channels)


def test_a_culture_that_is_no_grid_of_8_by_8_is_refused():
    with pytest.raises(RigError, match="does not fit a CL1"):
        bench(["cl1"], [*SMALL, "culture.probe.columns=9"])
