"""What the Open Ephys GUI publishes becomes blocks: gapless where it is whole, with every gap told where it is not."""

import random
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.core.clock import wait_until
from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.guard import StimGuard
from wetloop.core.types import Signal
from wetloop_drivers.emulators.open_ephys_gui import Answering, Chain, HttpServer, network_events
from wetloop_drivers.open_ephys import OpenEphysConfig
from wetloop_drivers.open_ephys_falcon import FalconMessage, pack_falcon
from wetloop_drivers.open_ephys_gui import Gui, GuiConfig
from wetloop_drivers.open_ephys_stream import ChannelBlocks, FalconBlocks, SpikeBlocks, pieces
from wetloop_drivers.open_ephys_ttl import TtlConfig
from wetloop_drivers.open_ephys_wire import DataMessage, SpikeMessage, pack_data, pack_spike, trigger_text

N_CHANNELS, N = 3, 20
SMALL = {"array": {"columns": N_CHANNELS, "rows": 1}, "gain_uv": 1.0}
INFO = OpenEphysConfig(**SMALL).build(1).info
LINES = [{"line": k + 1, "electrodes": [k], "amplitude": 100, "phase_us": 200} for k in range(3)]


def buffers(n, start=0):
    """Return n buffers, each (start_sample, samples in uV)."""
    values = np.arange(n * N * N_CHANNELS, dtype=np.float32).reshape(n, N_CHANNELS, N) % 1000
    return [(start + k * N, values[k]) for k in range(n)]


def channel_messages(n, start=0, rate=30000.0):
    made = []
    for begin, samples in buffers(n, start):
        for channel, row in enumerate(samples):
            made.append(pack_data(DataMessage(len(made), "probe", channel, begin, rate, row), f"CH{channel}", 0))
    return made


def falcon_messages(n, start=0, rate=30000):
    return [
        [pack_falcon(FalconMessage(k, "probe", begin, rate, 0.0, samples, np.zeros(0, "u2")))]
        for k, (begin, samples) in enumerate(buffers(n, start))
    ]


def taken(assembler, messages):
    return [block for message in messages if (block := assembler.take(message)) is not None]


@pytest.mark.parametrize("transport", ["channels", "falcon"])
def test_whole_buffers_are_whole_blocks(transport):
    made = (ChannelBlocks, channel_messages) if transport == "channels" else (FalconBlocks, falcon_messages)
    blocks = taken(made[0](INFO, range(N_CHANNELS), None), made[1](4, 100))
    assert [(block.start_sample, block.n_samples, block.lost_samples) for block in blocks] == [
        (100 + k * N, N, 0) for k in range(4)
    ]
    assert all(np.array_equal(block.samples.T, samples) for block, (_, samples) in zip(blocks, buffers(4), strict=True))


@given(st.lists(st.integers(0, 29), max_size=6, unique=True), st.lists(st.integers(0, 29), max_size=6))
def test_lost_and_doubled_messages_leave_gaps_and_no_wrong_sample(lost, doubled):
    messages, assembler = channel_messages(10), ChannelBlocks(INFO, range(N_CHANNELS), None)
    sent = [k for k in range(30) if k not in lost for _ in range(1 + doubled.count(k))]
    blocks, truth = taken(assembler, [messages[k] for k in sent]), dict(buffers(10))
    whole = [k for k in range(10) if not {3 * k, 3 * k + 1, 3 * k + 2} & set(lost)]
    assert [block.start_sample for block in blocks] == [k * N for k in whole]
    assert all(np.array_equal(block.samples.T, truth[block.start_sample]) for block in blocks)
    ends = [block.start_sample + N for block in blocks]
    gaps = [block.start_sample - end for block, end in zip(blocks[1:], ends[:-1], strict=True)]
    assert [block.lost_samples for block in blocks[1:]] == gaps
    assert assembler.lost_messages == sum(sent[0] < k < sent[-1] for k in lost)


@given(st.randoms(use_true_random=False))
def test_messages_in_any_order_never_go_back_or_mix(shuffler: random.Random):
    for assembler, messages in (
        (ChannelBlocks(INFO, range(N_CHANNELS), None), channel_messages(5)),
        (FalconBlocks(INFO, range(N_CHANNELS), None), falcon_messages(5)),
    ):
        shuffler.shuffle(messages)
        blocks, truth = taken(assembler, messages), dict(buffers(5))
        starts = [block.start_sample for block in blocks]
        assert starts == sorted(set(starts))
        assert all(np.array_equal(block.samples.T, truth[block.start_sample]) for block in blocks)


def test_strange_messages_are_counted_and_nothing_else():
    for assembler in (FalconBlocks(INFO, (0,), None), ChannelBlocks(INFO, (0,), None), SpikeBlocks(INFO, 0, None, {})):
        assert taken(assembler, [[], [b"x"], [b"DATA\0", b"{}", b""], [b""] * 4]) == []
        assert assembler.strange_messages == 4


def test_channels_are_chosen_and_put_in_order():
    for made, messages in ((ChannelBlocks, channel_messages(1)), (FalconBlocks, falcon_messages(1))):
        (block,) = taken(made(INFO, (2, 0), None), messages)
        assert np.array_equal(block.samples.T, buffers(1)[0][1][[2, 0]])


def test_another_stream_is_not_ours():
    assert taken(FalconBlocks(INFO, (0,), "other"), falcon_messages(2)) == []


def test_another_rate_and_too_few_channels_are_refused():
    with pytest.raises(RigError, match=r"source\.sampling_frequency_hz is 30000"):
        taken(FalconBlocks(INFO, (0,), None), falcon_messages(1, rate=25000))
    with pytest.raises(RigError, match="has 3 channels"):
        taken(FalconBlocks(INFO, (0, 7), None), falcon_messages(1))


def spike(sample, name="Electrode 2", peak=-50.0):
    waveform = np.zeros((1, 40), np.float32)
    waveform[0, 8] = peak
    return pack_spike(SpikeMessage(0, "probe", name, sample, 0, waveform), 0)


def test_spikes_come_with_the_buffer_that_follows_them():
    assembler = SpikeBlocks(INFO, 0, None, {"Electrode 1": 0, "Electrode 2": 1})
    clock = channel_messages(3, 1000)[::3]
    sent = [clock[0], spike(1030), spike(1015, "Electrode 1", -70), spike(1045), clock[1], clock[2]]
    _, second, third = taken(assembler, sent)
    assert second.spikes[["sample_index", "known_sample", "channel_index", "amplitude_uv"]].tolist() == [
        (1015, 1020, 0, -70.0), (1030, 1030, 1, -50.0),
    ]  # fmt: skip
    assert third.spikes["sample_index"].tolist() == [1045]


def test_a_spike_from_another_age_is_none():
    assembler = SpikeBlocks(INFO, 0, None, {"Electrode 2": 1})
    clock = channel_messages(2, 100_000)[::3]
    blocks = taken(assembler, [spike(0), spike(1 << 50), *clock])
    assert [len(block.spikes) for block in blocks] == [0, 0]
    assert assembler.strange_messages == 2


def test_a_spike_of_an_unknown_electrode_is_refused_by_name():
    with pytest.raises(RigError, match="'Tetrode 1'"):
        SpikeBlocks(INFO, 0, None, {"Electrode 1": 0}).take(spike(5, "Tetrode 1"))


@given(st.integers(1, 50))
def test_a_large_block_comes_in_pieces(most):
    (block,) = taken(FalconBlocks(INFO, range(N_CHANNELS), None), falcon_messages(1, 500))
    parts = list(pieces(block._replace(lost_samples=7), most))
    assert np.array_equal(np.concatenate([part.samples for part in parts]), block.samples)
    assert [part.start_sample for part in parts] == list(range(500, 520, most))
    assert [part.lost_samples for part in parts] == [7] + [0] * (len(parts) - 1)
    assert max(part.n_samples for part in parts) <= most


@pytest.fixture
def gui():
    """Give a GUI's remote control, a publisher that the test feeds, and the settings that lead to both."""
    fired, context = [], zmq.Context()
    chain = Chain(("Source",), fired.append)
    http, publisher, events = HttpServer(chain, "127.0.0.1", 0), context.socket(zmq.XPUB), context.socket(zmq.REP)
    port, events_port = (s.bind_to_random_port("tcp://127.0.0.1") for s in (publisher, events))
    answering = Answering(events, network_events(chain))
    where = {"host": "127.0.0.1", "http_port": http.port}
    settings = {"gui": where, "transport": "falcon", "data_port": port, **SMALL}
    lines = {"gui": where, "events_port": events_port, "lines": LINES}
    made = SimpleNamespace(
        chain=chain,
        publisher=publisher,
        settings=settings,
        lines=lines,
        http=http,
        fired=fired,
        context=context,
        sources=[],
    )
    yield made
    for source in made.sources:
        source.close()
    http.close()
    answering.close()
    context.destroy(linger=0)


class Fed:
    """A source that is open, and a thread that feeds it a buffer each time it is told, once it listens."""

    def __init__(self, gui, **settings):
        self.gui, self.sent = gui, 0
        self.source = OpenEphysConfig(**gui.settings, **settings).build(1)
        gui.sources.append(self.source)
        self.feeder = threading.Thread(target=self.feed_first)
        self.feeder.start()
        self.source.open()
        self.feeder.join()

    def feed_first(self):
        self.gui.publisher.recv()
        self.feed()

    def feed(self, skip=0):
        self.sent += 1 + skip
        self.gui.publisher.send_multipart(falcon_messages(self.sent)[-1])

    def read(self):
        """Return the next block with samples."""
        while not (block := self.source.read()).n_samples:
            pass
        return block


def begun(gui, **settings):
    """Return a source that has dropped what came before its first read."""
    fed = Fed(gui, **settings)
    assert fed.source.read().n_samples == 0
    return fed


def test_it_starts_the_gui_begins_with_what_comes_now_and_stops_the_gui(gui):
    fed = begun(gui)
    assert gui.chain.mode == "ACQUIRE"
    fed.feed()
    fed.feed(skip=2)
    assert [(block.start_sample, block.lost_samples) for block in (fed.read(), fed.read())] == [(20, 0), (80, 40)]
    fed.source.close()
    fed.source.close()
    assert gui.chain.mode == "IDLE"


def test_a_cut_ends_the_session_at_once_where_it_is_told_to_stop(gui):
    fed = begun(gui)
    gui.publisher.close(linger=0)
    with pytest.raises(RigError, match="was cut"):
        fed.read()
    fed.source.close()


def test_after_a_cut_it_goes_on_with_a_gap_where_it_is_told_to_reconnect(gui):
    fed = begun(gui, reconnect={"policy": "reconnect", "patience_s": 60})
    fed.feed()
    assert fed.read().start_sample == 20
    gui.publisher.close(linger=0)
    assert fed.source.read().n_samples == 0
    gui.publisher = gui.context.socket(zmq.XPUB)
    gui.publisher.bind(f"tcp://127.0.0.1:{gui.settings['data_port']}")
    feeder = threading.Thread(target=lambda: (gui.publisher.recv(), fed.feed(skip=3)))
    feeder.start()
    block = fed.read()
    feeder.join()
    assert (block.start_sample, block.lost_samples) == (100, 60)
    fed.source.close()


def test_patience_ends_where_nothing_new_comes(gui):
    fed = begun(gui, reconnect={"patience_s": 0.2})
    with pytest.raises(RigError, match="stopped or started anew"):
        fed.read()
    fed.source.close()


def test_a_buffer_larger_than_told_is_refused_with_the_number(gui):
    with pytest.raises(RigError, match=r"source.buffer_ms is 0.1: set it to 0.6667"):
        Fed(gui, buffer_ms=0.1)


def test_a_gui_that_is_not_there_is_named(gui):
    gui.http.close()
    with pytest.raises(RigError, match="enable its HTTP server"):
        OpenEphysConfig(**gui.settings).build(1).open()


def test_an_idle_gui_is_refused_where_it_is_not_to_be_started(gui):
    settings = gui.settings | {"gui": gui.settings["gui"] | {"start_acquisition": False}}
    source = OpenEphysConfig(**settings).build(1)
    with pytest.raises(RigError, match="press its play button"):
        source.open()
    source.close()
    assert gui.chain.mode == "IDLE"


@pytest.mark.parametrize("through", ["message", "network-events"])
def test_a_line_fires_once_and_not_again_before_it_has_fallen(gui, through):
    config = TtlConfig(through=through, ttl_ms=5000, **gui.lines)
    info = config.describe(INFO)
    table = StimGuard(info).prepare({str(k): line.pattern("mV") for k, line in enumerate(config.lines)})
    stimulator = config.build(info)
    stimulator.prepare(table)
    stimulator.trigger(1, 0)
    stimulator.trigger(0, 0)
    with pytest.raises(LatePulseError, match="line 2"):
        stimulator.trigger(1, 0)
    stimulator.close()
    assert gui.fired == [2, 1]
    assert gui.chain.mode == "IDLE"


@pytest.mark.parametrize("fresh_s", [60.0, -1.0])
def test_every_message_arrives_once_with_a_connection_opened_ahead_or_gone_stale(gui, monkeypatch, fresh_s):
    monkeypatch.setattr("wetloop_drivers.open_ephys_gui.FRESH_S", fresh_s)
    gui.chain.set_mode("ACQUIRE")
    remote = Gui(GuiConfig(**gui.settings["gui"]))
    remote.connect_ahead()
    for line in (1, 2, 3):
        remote.broadcast(trigger_text(line, 10))
        remote.connect_ahead()
    remote.close()
    assert gui.fired == [1, 2, 3]


def test_an_event_line_falls_by_itself(gui):
    config = TtlConfig(through="network-events", **gui.lines)
    info = config.describe(INFO)
    stimulator = config.build(info)
    stimulator.prepare(StimGuard(info).prepare({"one": config.lines[0].pattern("mV")}))

    def fires_again():
        try:
            stimulator.trigger(0, 0)
        except LatePulseError:
            return False
        return True

    assert fires_again()
    assert wait_until(fires_again, 60)
    stimulator.close()
    assert gui.fired == [1, 1]


def test_what_a_rig_with_lines_can_do_is_told():
    config = TtlConfig(lines=LINES, ttl_ms=12, buffer_ms=8)
    info = config.describe(INFO)
    assert (info.immediate, info.trigger_latency_ms, info.unit) == (True, 8, "mV")
    assert info.limits.min_interval_ms == 20
    assert info.lead_samples == INFO.lead_samples + 300


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lines": [LINES[0], LINES[0]]}, "twice"),
        ({"lines": [LINES[0] | {"line": 9}]}, "8 outputs"),
        ({"lines": LINES, "through": "network-events", "buffer_ms": 20}, "never seen"),
        ({"lines": LINES, "ttl_ms": 5}, "greater than or equal to 10"),
    ],
)
def test_lines_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        TtlConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"transport": "falcon", "signal": "spikes"}, "sends no spikes"),
        ({"channels": [0, 1]}, "array has 64"),
        ({"channels": [0] * 64}, "names 1 different"),
    ],
)
def test_a_source_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        OpenEphysConfig(**settings)


def test_the_source_tells_what_it_is_unopened():
    info = OpenEphysConfig(signal="spikes", buffer_ms=20).build(1).info
    assert (info.signal, info.packet_samples, info.n_channels, info.real_time) == (Signal.SPIKES, 600, 64, True)
