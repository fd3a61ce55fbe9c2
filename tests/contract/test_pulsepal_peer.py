"""pypulsepal, which we did not write, programs and triggers our emulated Pulse Pal."""

import logging

import pypulsepal.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.clock import wait_until
from wetloop.emulation import bench
from wetloop_drivers import pulsepal_wire as wire


@pytest.fixture
def rig():
    dish, (emulator,) = bench(["pulsepal"], ["culture.kind=poisson"])
    settings = dish.start([emulator])
    yield dish, emulator, settings["ports"][0]
    dish.close()
    assert dish.failure is None


@pytest.fixture
def peer(rig):
    with pypulsepal.PulsePal(rig[2]) as client:
        yield client


def test_it_shakes_hands(peer):
    assert (peer.firmware_version, peer.model) == (21, 2)


def test_it_programs_all_at_once_what_one_by_one_gives_too(rig, peer):
    _, emulator, _ = rig
    for k, channel in enumerate(peer.channel_configs):
        channel.isBiphasic, channel.phase1Voltage, channel.phase2Voltage = True, -1.25 * k, 2.5
        channel.phase1Duration, channel.interPhaseInterval = 0.002, 0.0005 * k
        channel.linkTriggerChannel1, channel.linkTriggerChannel2 = 0, 1
    peer.trigger_configs[1].triggerMode = 2
    assert peer.sync_all_params()
    at_once = emulator.firmware.settings.tobytes()
    peer.reset_to_defaults()
    assert emulator.firmware.settings.tobytes() != at_once
    for k in range(4):
        for name, value in (
            ("isBiphasic", 1), ("phase1Voltage", -1.25 * k), ("phase2Voltage", 2.5), ("phase1Duration", 0.002),
            ("interPhaseInterval", 0.0005 * k), ("linkTriggerChannel1", 0), ("linkTriggerChannel2", 1),
        ):  # fmt: skip
            assert peer.program_one_param(k, name, value)
    assert peer.program_trigger_channel(1, "gated")
    assert emulator.firmware.settings.tobytes() == at_once


def test_it_reads_back_what_it_saved(peer):
    peer.channel_configs[2].phase1Voltage = 1.5
    assert peer.sync_all_params()
    peer.save_to_sd("wetloop.pps")
    stored = peer.read_sd_params()
    assert stored["phase1Voltage"] == pytest.approx([5.0, 5.0, 1.5, 5.0], abs=wire.STEP_MV / 1000)
    assert stored["triggerAddress"] == [[1] * 4, [0] * 4]
    assert stored["pulseTrainDuration"] == [1.0] * 4


def test_its_triggers_reach_the_culture(rig, peer):
    dish, _, _ = rig
    for channel in peer.channel_configs:
        channel.isBiphasic, channel.phase1Voltage, channel.phase2Voltage = True, -0.1, 0.1
        channel.phase1Duration = channel.phase2Duration = 0.0002
        channel.interPhaseInterval, channel.interPulseInterval, channel.pulseTrainDuration = 0.0, 0.01, 0.02
    peer.sync_all_params()
    peer.trigger_selected_channels(channel_2=True, channel_3=True)
    assert wait_until(lambda: len(dish.delivered) == 2, 5.0)
    first, second = dish.delivered
    assert first.pattern.channels == second.pattern.channels == (1, 2)
    assert (second.sample_index - first.sample_index) / dish.info.sampling_frequency == pytest.approx(0.0104, abs=2e-3)
    assert first.pattern.pulse.second_amplitude == pytest.approx(100, abs=wire.STEP_MV)
    peer.stop_all_outputs()


@given(st.integers(-32_767, 32_767))
def test_its_formula_gives_our_words(steps):
    theirs = int(pypulsepal.utils.volts_to_bytes(steps * wire.STEP_MV / 1000, 65_535))
    assert theirs == wire.word_of(steps * wire.STEP_MV)


def test_its_display_text_leaves_the_device_hearing(peer, caplog):
    with caplog.at_level(logging.WARNING):
        assert peer.set_fixed_voltage(0, 0.0)
        assert peer.set_continuous(0, 0)
    assert caplog.records == []
