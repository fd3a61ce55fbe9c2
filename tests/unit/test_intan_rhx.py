"""The RHX driver against the emulated RHX, over real sockets, with blocks that the test writes itself."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from wetloop.core.clock import wait_until
from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.layout import grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.types import Block, RigInfo, Signal
from wetloop.kernels.records import SPIKE
from wetloop.testing.proxy import Faults, Proxy
from wetloop_drivers.emulators.intan_rhx import IntanRhxEmulatorConfig
from wetloop_drivers.intan_rhx_config import IntanRhxConfig

BURST = 768
INFO = RigInfo(
    name="written", sampling_frequency=25000.0, probe=grid_probe(3, 2, 200.0), signal=Signal.SAMPLES,
    gain_uv=np.full(6, 0.195, np.float32), packet_samples=25, lead_samples=75, unit="mV", limits=StimLimits(),
    electrode_area_um2=707.0, access_resistance_kohm=12.0,
)  # fmt: skip
PULSE = Pulse.balanced(1.0, 200.0, "uA")
PORTS = ("command_port", "waveform_port", "spike_port")


class WrittenDish:
    """A dish in which happens what the test writes; it keeps what was stimulated."""

    def __init__(self, signal=Signal.SAMPLES):
        self.info = replace(INFO, signal=signal)
        self.loaded, self.delivered, self.at = [], [], 1000
        self.samples = np.random.default_rng(1).integers(-300, 300, (200 * BURST, 6)).astype(np.int16)

    def load(self, pattern):
        self.loaded.append(pattern)
        return len(self.loaded) - 1

    def stimulate(self, number, delay_samples=0):
        at = self.at + 25 + delay_samples
        self.delivered.append((at, self.loaded[number]))
        return at

    def silence(self):
        pass

    def block(self, n=BURST, spikes=()):
        """Return the next block; spikes are (sample after the first, channel)."""
        rows = np.zeros(len(spikes), SPIKE)
        for row, (at, channel) in zip(rows, spikes, strict=True):
            row["sample_index"] = row["known_sample"] = 1000 + at
            row["channel_index"] = channel
        shown = self.samples[self.at - 1000 : self.at - 1000 + n]
        if self.info.signal is Signal.SPIKES:
            shown = np.zeros((0, 6), np.int16)
        self.at += n
        return Block(self.at - n, n, shown, rows)


class Bed:
    """A driver at an emulator; ``through`` puts proxies between them."""

    def __init__(self, stack, emulator=None, through=None, signal=Signal.SAMPLES, **driver):
        self.dish = WrittenDish(signal)
        settings = dict.fromkeys(PORTS, 0) | (emulator or {})
        self.emulator = IntanRhxEmulatorConfig(**settings).build(self.dish)
        stack.callback(self.emulator.close)
        told = dict(self.emulator.open())
        self.proxies = []
        if through is not None:
            for port in PORTS:
                proxy = Proxy(("127.0.0.1", told[port]), **(through.get(port, {})))
                self.proxies.append(stack.enter_context(proxy))
                told[port] = proxy.port
        self.source = IntanRhxConfig(**(told | driver)).build(1)
        stack.callback(self.source.close)

    def table(self, **patterns):
        return StimGuard(self.source.info).prepare({name: Pattern(PULSE, at) for name, at in patterns.items()})

    def start(self, **patterns):
        self.source.open()
        if patterns:
            self.source.prepare(self.table(**patterns))
        assert self.source.read().n_samples == 0

    def next_block(self, **written):
        """Have the dish live for a burst; return what the driver makes of it."""
        self.emulator.deliver(self.dish.block(**written))
        return self.await_block()

    def await_pulses(self, n):
        assert wait_until(lambda: len(self.dish.delivered) == n, 5.0)

    def read_on(self):
        """Read until the driver gives up."""
        while True:
            self.source.read()

    def await_block(self):
        while not (block := self.source.read()).n_samples:
            pass
        return block


@pytest.fixture
def bed():
    with ExitStack() as stack:
        yield lambda *args, **settings: Bed(stack, *args, **settings)


def test_samples_arrive_as_they_are_on_a_clock_of_their_own(bed):
    rig = bed()
    rig.start()
    for k in range(3):
        block = rig.next_block()
        assert (block.start_sample, block.n_samples, block.lost_samples) == (k * BURST, BURST, 0)
        assert (block.samples == rig.dish.samples[k * BURST : (k + 1) * BURST]).all()
        assert block.samples.dtype == np.int16


def test_stim_words_beside_the_samples_do_not_shift_them(bed):
    rig = bed()
    rig.start(a=(1,), b=(4, 2))
    assert (rig.next_block().samples == rig.dish.samples[:BURST]).all()


def test_electrodes_may_be_wired_in_any_order(bed):
    names = ("A-003", "A-001", "A-000", "A-005", "A-004", "A-002")
    rig = bed(channels=names)
    rig.start()
    block = rig.next_block()
    order = rig.source.info.probe.device_channel_indices
    assert (block.samples[:, order] == rig.dish.samples[:BURST][:, [int(name[-1]) for name in names]]).all()


def test_patterns_reach_their_electrodes_and_the_stim_words_tell_when(bed):
    rig = bed()
    rig.start(one=(0,), two=(1,), all=(0, 1, 5))
    rig.next_block()
    asked = []
    for pattern, pressed in ((0, [(0,)]), (1, [(1,)]), (2, [(0,), (1,), (5,)])):
        before = len(rig.dish.delivered)
        asked += [rig.dish.at - 1000 + 10] * len(pressed)
        rig.source.trigger(pattern, asked[-1])
        rig.await_pulses(before + len(pressed))
        assert [p.channels for _, p in rig.dish.delivered[before:]] == pressed
        assert rig.dish.delivered[-1][1].pulse == PULSE
        rig.next_block()
    seen = rig.source.take_seen()
    assert seen["channel_index"].tolist() == [0, 1, 0, 1, 5]
    assert (seen["sample_index"] - asked == 15).all()
    assert not len(rig.source.take_seen())


def test_a_pulse_without_a_trigger_is_seen(bed):
    rig = bed()
    rig.start(one=(0,))
    rig.next_block()
    rig.emulator.board.hear(b"execute manualstimtriggerpulse F1;")
    rig.next_block()
    assert rig.source.take_seen()["channel_index"].tolist() == [0]


def test_what_rhx_holds_is_what_was_asked_for_and_at_the_end_nothing_is_armed(bed):
    rig = bed()
    rig.start(one=(3,))
    value = rig.emulator.board.value
    assert value("A-003.StimEnabled") == "True"
    assert value("A-003.FirstPhaseAmplitudeMicroAmps") == "1"
    assert value("TCPNumberDataBlocksPerWrite") == "1"
    rig.source.close()
    rig.source.close()
    assert wait_until(lambda: rig.emulator.board.run_mode == "Stop", 5.0)
    assert value("A-003.StimEnabled") == "False"


def test_channels_that_were_armed_by_hand_are_disarmed(bed):
    rig = bed()
    rig.emulator.board.hear(b"set A-005.StimEnabled True;set A-005.Source KeyPressF1;")
    rig.start(one=(0,))
    assert rig.emulator.board.value("A-005.StimEnabled") == "False"


def test_spikes_are_known_when_their_frames_are(bed):
    rig = bed(signal=Signal.SPIKES)
    rig.start(one=(0,))
    block = rig.next_block(spikes=[(40, 2), (40, 1), (700, 5)])
    assert block.samples.shape == (0, 6)
    spikes = block.spikes[["sample_index", "known_sample", "channel_index"]].tolist()
    assert spikes == [(40, 40, 1), (40, 40, 2), (700, 700, 5)]
    late = rig.next_block(spikes=[(BURST + 3, 0)])
    assert late.spikes["channel_index"].tolist() == [0]
    assert rig.next_block().spikes.size == 0


def test_spikes_that_rhx_finds_in_samples(bed):
    rig = bed(signal=Signal.SAMPLES)
    rig.dish.samples[:] = 0
    rig.dish.samples[100:103, 4] = -1000
    source = rig.source
    rig.source = IntanRhxConfig(**(source.config.model_dump() | {"signal": "spikes", "threshold_uv": -90.0})).build(1)
    rig.start()
    assert rig.next_block().spikes[["sample_index", "channel_index"]].tolist() == [(100, 4)]
    assert float(rig.emulator.board.value("A-004.SpikeThresholdMicroVolts")) == -90
    rig.source.close()


@pytest.mark.parametrize("outputs", ["Pending", "Disconnected"])
def test_closed_data_ports_are_opened(bed, outputs):
    rig = bed({"outputs": outputs})
    rig.start()
    assert rig.next_block().n_samples == BURST


@pytest.mark.parametrize(
    ("emulator", "driver", "words"),
    [
        ({"version": "3.2.0"}, {}, "3.3.1 or newer"),
        ({"controller": "rhd"}, {"controller": "rhs"}, "ControllerRecordUSB3"),
        ({}, {"sampling_frequency_hz": 30_000}, "SampleRateHertz is 25000"),
        ({"stim_step_ua": 1.0}, {"stim_step_ua": 0.1}, "StimStepSizeMicroAmps is 1"),
        ({}, {"probe": {"columns": 4, "rows": 2}}, "Unrecognized parameter"),
        ({}, {"command_port": 1}, "does not answer"),
    ],
)
def test_an_rhx_that_is_not_as_configured_is_refused(bed, emulator, driver, words):
    with pytest.raises(RigError, match=words):
        bed(emulator, **driver).source.open()


def test_somebody_elses_recording_is_not_stopped(bed):
    rig = bed()
    rig.emulator.board.run_mode = "Record"
    with pytest.raises(RigError, match="somebody else"):
        rig.source.open()
    assert rig.emulator.board.run_mode == "Record"


def test_a_rig_left_running_is_stopped_first(bed):
    rig = bed()
    rig.emulator.board.hear(b"set runmode run;")
    rig.start()
    assert rig.next_block().start_sample == 0


def test_an_rhd_controller_only_records(bed):
    rig = bed({"controller": "rhd"})
    assert not hasattr(rig.source, "trigger")
    rig.start()
    assert (rig.next_block().samples == rig.dish.samples[:BURST]).all()


def test_a_cut_cable_ends_the_session_or_is_waited_for(bed):
    rig = bed(through={})
    rig.start(one=(0,))
    rig.next_block()
    for proxy in rig.proxies:
        proxy.cut()
    with pytest.raises(RigError):
        rig.read_on()
    assert rig.dish.delivered == []


def test_after_a_cut_the_gap_is_in_the_blocks_and_nothing_was_stimulated(bed):
    rig = bed(through={}, reconnect={"policy": "reconnect", "patience_s": 30})
    rig.start(one=(0,))
    rig.next_block()
    for proxy in rig.proxies:
        proxy.cut()
    while not rig.source.read().n_samples and rig.source.lost_for_s is None:
        pass
    rig.emulator.deliver(rig.dish.block())
    with pytest.raises(LatePulseError, match="nothing is heard"):
        rig.source.trigger(0, rig.dish.at - 1000)
    for proxy in rig.proxies:
        proxy.mend()
    while rig.source.lost_for_s is not None:
        assert rig.source.read().n_samples == 0
    block = rig.next_block()
    assert block.start_sample == 2 * BURST
    assert (block.samples == rig.dish.samples[2 * BURST : 3 * BURST]).all()
    assert (rig.source.outages, rig.dish.delivered) == (1, [])
    rig.source.trigger(0, rig.dish.at - 1000)
    rig.await_pulses(1)


def test_patience_ends(bed):
    rig = bed(through={}, reconnect={"policy": "reconnect", "patience_s": 0.3})
    rig.start()
    rig.next_block()
    for proxy in rig.proxies:
        proxy.cut()
    with pytest.raises(RigError, match=r"did not come back within 0\.3 s"):
        rig.read_on()


def test_nothing_is_stimulated_over_a_cable_that_says_nothing(bed):
    rig = bed(through={})
    rig.start(one=(0,))
    rig.next_block()
    for proxy in rig.proxies:
        proxy.stall()
    wait_until(lambda: False, 0.3)
    with pytest.raises(LatePulseError):
        rig.source.trigger(0, 10)
    with pytest.raises(RigError, match="sent nothing for 1 s"):
        rig.read_on()


def test_a_bad_cable_costs_blocks_and_never_makes_any_up(bed):
    bad = {"seed": 3, "down": Faults(loss=0.1, duplicate=0.1, corrupt=0.1, split_bytes=700, cell_bytes=2048)}
    rig = bed(through={"waveform_port": bad})
    rig.start()
    for _ in range(20):
        rig.emulator.deliver(rig.dish.block())
    seen, end = 0, 0
    while end < 18 * BURST:
        block = rig.await_block()
        assert block.start_sample >= end
        end = block.start_sample + block.n_samples
        truth = rig.dish.samples[block.start_sample : end]
        seen += int((block.samples == truth).all(axis=1).sum())
        assert (block.samples != truth).sum() <= 3 * block.n_samples / 128
    assert 0 < seen < end
