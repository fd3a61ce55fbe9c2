"""DishBrain Pong over real LSL streams, in real time; liblsl is the peer."""

import threading
from pathlib import Path
from uuid import uuid4

import numpy as np
import pylsl
import pytest

from wetloop.config import load_config
from wetloop.core.clock import wait_until
from wetloop.core.errors import GuardError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.replay import verify
from wetloop.session import run_session
from wetloop_drivers.lsl import LslConfig
from wetloop_drivers.lsl_markers import LslMarkersConfig
from wetloop_drivers.lsl_wire import parse_table

CONFIG = Path(__file__).parents[2] / "configs" / "pong_lsl.yaml"
MODELS = {"source": LslConfig, "stimulator": LslMarkersConfig}


@pytest.fixture
def started(benched):
    """Start emulators under names of their own."""

    def start(*settings):
        names = [f"lsl.stream=culture-{uuid4().hex}", f"lsl.markers=pulses-{uuid4().hex}"]
        return benched("lsl", "culture.settle_s=0", *names, *settings)

    return start


def known(section, settings):
    return {key: value for key, value in settings.items() if key in MODELS[section].model_fields}


@pytest.mark.parametrize("signal", ["spikes", "samples"])
def test_pong_is_played_and_pulses_arrive(emulated, reaching, signal):
    names = [f"lsl.stream=culture-{uuid4().hex}", f"lsl.markers=pulses-{uuid4().hex}"]
    rig = emulated("lsl", "culture.settle_s=0", f"culture.signal={signal}", *names)
    summary = run_session(reaching(CONFIG, rig.settings, "duration=4"), accelerated=False)
    assert summary.ended == "completed"
    assert 0 < rig.end() <= summary.real_time["triggers_accepted_by_rig"]
    assert verify(Path(summary.file)).agrees


def test_a_lost_stream_ends_the_session_with_a_whole_file(started, reaching, cut_in_play):
    _, emulator, settings = started()
    cut_in_play(reaching(CONFIG, settings, "duration=60"), emulator, "LSL stream")


def test_a_source_without_a_sender_says_so():
    with pytest.raises(RigError, match="no LSL stream is called 'nobody'"):
        LslConfig(stream="nobody").build(1).open()


def test_a_stream_of_another_shape_is_refused(started):
    _, _, settings = started()
    source = LslConfig(**known("source", settings) | {"signal": "samples"}).build(1)
    with pytest.raises(RigError, match="has 2 channels at 0 Hz, but samples of this array come in 64 at 25000 Hz"):
        source.open()


def test_pulses_without_a_listener_are_refused():
    config = LslMarkersConfig(markers=f"alone-{uuid4().hex}", patience_s=0.2)
    info = config.describe(LslConfig().build(1).info)
    markers = config.build(info)
    with pytest.raises(RigError, match="nobody listens"):
        markers.prepare(StimGuard(info).prepare({"one": Pattern(Pulse.balanced(100, 200, "mV"), (1,))}))
    markers.close()


def test_any_listener_reads_numbers_and_the_table():
    name = f"pulses-{uuid4().hex}"
    config = LslMarkersConfig(markers=name)
    info = config.describe(LslConfig().build(1).info)
    table = StimGuard(info).prepare({str(k): Pattern(Pulse.balanced(100, 200, "mV"), (k,)) for k in range(3)})
    heard, is_open = [], threading.Event()

    def listen():
        inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, 1, 10)[0], recover=False)
        heard.append(parse_table(inlet.info(5).desc().child_value("patterns")))
        inlet.open_stream(5)
        is_open.set()
        while not heard[1:] or heard[-1] >= 0:
            marker, _ = inlet.pull_sample(5)
            heard.append(marker[0])
        inlet.close_stream()

    thread = threading.Thread(target=listen)
    thread.start()
    markers = config.build(info)
    markers.prepare(table)
    assert is_open.wait(10)
    for pattern in (2, 0, 1):
        markers.trigger(pattern, 0)
    markers.ping()
    markers.silence()
    thread.join(10)
    assert heard == [list(table.patterns), 2, 0, 1, -1]
    markers.close()


def test_samples_come_as_the_culture_gave_them(started):
    dish, _, settings = started("culture.signal=samples")
    source = LslConfig(**known("source", settings)).build(1)
    source.open()
    blocks = [source.read() for _ in range(20)]
    source.close()
    samples = np.concatenate([block.samples for block in blocks])
    assert samples.shape[1] == dish.info.n_channels
    assert np.median(samples.std(axis=0)) * dish.info.gain_uv[0] == pytest.approx(5.5, abs=1.5)


def test_a_spike_keeps_the_time_that_its_sender_gave_it():
    name = f"spikes-{uuid4().hex}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Spikes", 2, 0, pylsl.cf_float32, name))
    source = LslConfig(stream=name).build(1)
    source.open()
    source.read()
    sent_s = pylsl.local_clock()
    for at_s, channel in ((sent_s, 3), (sent_s + 0.002, 5), (sent_s - 3.0, 7), (sent_s, 64)):
        outlet.push_sample([channel, -30.0], at_s)
    found = []

    def heard():
        found.extend(source.read().spikes)
        return len(found) >= 2

    assert wait_until(heard, 10)
    assert wait_until(lambda: (heard(), source.old_spikes == source.strange_rows == 1)[1], 10)
    source.close()
    assert [int(spike["channel_index"]) for spike in found] == [3, 5]
    assert found[1]["sample_index"] - found[0]["sample_index"] == 50


def test_a_source_alone_stimulates_nothing(tmp_path):
    config = load_config(CONFIG, [f"recording.folder={tmp_path}", "stimulator={kind: source}"])
    with pytest.raises(GuardError, match=r"set stimulator\.kind"):
        run_session(config, accelerated=False)
