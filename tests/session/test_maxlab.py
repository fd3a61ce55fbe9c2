"""DishBrain Pong through an emulated MaxLab server, in real time, over its real wires and the vendor's calls."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from wetloop.config import load_config
from wetloop.core.errors import GuardError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.limits import StimLimits
from wetloop.replay import verify
from wetloop.session import run_session
from wetloop_drivers.emulators.maxlab import MaxLabEmulatorConfig
from wetloop_drivers.maxlab import MaxLabConfig
from wetloop_drivers.maxlab_stimulator import MaxLabStimulatorConfig

CONFIG = Path(__file__).parents[2] / "configs" / "pong_maxlab.yaml"
PORTS = [f"maxlab.{name}=0" for name in ("raw_port", "filtered_port", "command_port")]
SMALL = ["culture.settle_s=0", "culture.cells=100", "culture.sampling_frequency_hz=5000", *PORTS]
BAND = "detection.high_hz=2000"
"""Below half of 5 kHz."""
MODELS = {"source": MaxLabConfig, "stimulator": MaxLabStimulatorConfig}
SETUPS = {
    "spikes": [],
    "old records, bad link": ["maxlab.spike_record_bytes=24", "maxlab.corrupt_share=0.001", "maxlab.split_share=0.5"],
    "maxtwo": ["maxlab.model=maxtwo", "maxlab.well=3"],
}


@pytest.fixture
def started(benched):
    return partial(benched, "maxlab", *SMALL)


def known(section, settings):
    return {key: value for key, value in settings.items() if key in MODELS[section].model_fields}


@pytest.mark.parametrize("setup", SETUPS)
def test_pong_is_played_and_every_accepted_pulse_arrives(emulated, reaching, setup):
    rig = emulated("maxlab", *SMALL, *SETUPS[setup])
    summary = run_session(reaching(CONFIG, rig.settings, BAND, "duration=4"), accelerated=False)
    assert summary.ended == "completed"
    assert setup != "spikes" or summary.lost_samples == 0
    assert rig.end() == summary.real_time["triggers_accepted_by_rig"] > 0
    assert summary.spikes > 0
    assert verify(Path(summary.file)).agrees


def test_a_cut_cable_ends_the_session_with_a_whole_file(started, reaching, cut_in_play):
    _, emulator, settings = started()
    cut_in_play(reaching(CONFIG, settings, BAND, "duration=60"), emulator, "MaxLab")


def stimulator_of(settings, pattern, **changed):
    """Return a stimulator of an emulated server, prepared with one pattern."""
    info = MaxLabConfig(**known("source", settings)).build(1).info
    config = MaxLabStimulatorConfig(**known("stimulator", settings) | changed)
    info = config.describe(info)
    stimulator = config.build(info)
    stimulator.prepare(StimGuard(info, StimLimits()).prepare({"one": pattern}))
    return stimulator


PULSE = Pulse(-100.0, 200.0, 50.0, 400.0, "mV", 100.0)


def test_a_pulse_arrives_as_it_was_asked_for_and_the_calls_come_in_order(started):
    dish, emulator, settings = started()
    stimulator = stimulator_of(settings, Pattern(PULSE, (3, 60)))
    stimulator.trigger(0, 0)
    stimulator.ping()
    (delivered,) = dish.delivered
    assert delivered.pattern.channels == (3, 60)
    assert delivered.pattern.pulse == Pulse(
        pytest.approx(-34 * 2.9), 200.0, pytest.approx(17 * 2.9), 400.0, "mV", 100.0
    )  # fmt: skip
    order = [command.split()[0] for command in emulator.board.heard]
    steps = ["system_initialize", "mea_set_core", "mea_array_new", "system_offset", "mea_set_stimulation_unit"]
    steps += ["sequence_new", "sequence_send"]
    assert [order.index(step) for step in steps] == sorted(order.index(step) for step in steps)
    stimulator.close()
    assert "mea_set_core stimulation_power 0" in emulator.board.heard
    assert [c for c in emulator.board.heard if c.startswith("sequence_delete")] == ["sequence_delete wetloop_0"]


def test_after_silence_nothing_is_sent(started):
    dish, _, settings = started()
    stimulator = stimulator_of(settings, Pattern(PULSE, (3,)))
    stimulator.silence()
    stimulator.trigger(0, 0)
    stimulator.close()
    assert dish.delivered == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dac_step_mv": 2.0}, "step by 2.9 mV, not 2: set stimulator.dac_step_mv"),
        ({"configuration": "nowhere.cfg"}, "stimulator.configuration: nowhere.cfg cannot be read"),
        ({"package_folder": "nowhere", "sample_us": 30.0}, "in steps of 30 us"),
    ],
)
def test_what_the_chip_does_not_do_is_told(started, changed, told):
    _, _, settings = started()
    with pytest.raises(Exception, match=told) as caught:
        stimulator_of(settings, Pattern(PULSE, (3,)), **changed)
    assert caught.type.__name__ in {"RigError", "ConfigError"}


def test_an_electrode_that_is_not_routed_is_told(started, tmp_path):
    _, _, settings = started()
    short = tmp_path / "short.cfg"
    text = Path(settings["configuration"]).read_text(encoding="utf-8")
    short.write_text(";".join(text.split(";")[:3]), encoding="utf-8")
    with pytest.raises(RigError, match=r"electrode 34 is stimulated, but .*short\.cfg does not route it"):
        stimulator_of(settings, Pattern(PULSE, (3,)), configuration=str(short))


def test_the_other_spike_record_is_told_while_reading(started):
    _, _, settings = started("culture.cells=1000")
    source = MaxLabConfig(**known("source", settings) | {"spike_record_bytes": 24}).build(1)
    try:
        with pytest.raises(RigError, match=r"set source\.spike_record_bytes to 16"):
            open_and_read(source)
    finally:
        source.close()


def open_and_read(source):
    source.open()
    for _ in range(20_000):
        source.read()


def test_lost_packets_are_gaps(started):
    _, _, settings = started("maxlab.lost_share=0.2")
    source = MaxLabConfig(**known("source", settings)).build(1)
    source.open()
    blocks = [source.read() for _ in range(60)]
    source.close()
    ends = [block.start_sample + block.n_samples for block in blocks]
    gaps = [block.start_sample - end for block, end in zip(blocks[1:], ends, strict=False)]
    assert min(gaps) == 0
    assert sum(gaps) > 20


@pytest.mark.parametrize("stream", ["raw", "filtered"])
def test_samples_come_as_the_culture_gave_them(started, stream):
    dish, _, settings = started("culture.signal=samples", f"maxlab.stream={stream}")
    source = MaxLabConfig(**known("source", settings)).build(1)
    source.open()
    samples = np.concatenate([source.read().samples for _ in range(20)])
    source.close()
    noise_uv = samples.astype(float).std(axis=0) * source.info.gain_uv
    assert samples.shape[1] == dish.info.n_channels
    assert np.median(noise_uv) == pytest.approx(5.5, abs=1.5)


def test_more_than_32_electrodes_are_refused_before_the_run(tmp_path):
    config = load_config(
        CONFIG, [f"recording.folder={tmp_path}", "layout.sensory_electrodes=40", "feedback={kind: none}"]
    )
    with pytest.raises(GuardError, match="40 electrodes are stimulated, but the chip has 32 units"):
        run_session(config, accelerated=False)


def test_a_source_alone_stimulates_nothing(tmp_path):
    config = load_config(CONFIG, [f"recording.folder={tmp_path}", "stimulator={kind: source}"])
    with pytest.raises(GuardError, match=r"set stimulator\.kind"):
        run_session(config, accelerated=False)


def test_an_emulator_that_cannot_listen_says_so(started):
    dish, _, settings = started()
    second = MaxLabEmulatorConfig(filtered_port=settings["port"], raw_port=0, command_port=0).build(dish)
    with pytest.raises(RigError, match="cannot listen"):
        second.open()
