"""What the ``cl`` API says, as records; and the messages of the stand-in for it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.guard import Pulse
from wetloop_drivers.cl1_wire import (
    N_WAVEFORM,
    TRIGGER_AT,
    USABLE,
    channel_positions_um,
    channels_at,
    design,
    indices_of,
    pulse_faults,
    spike_records,
)
from wetloop_drivers.emulators.cl1_package.cl.link import unpacked
from wetloop_drivers.emulators.cl1_package.cl.wire import ANSWER, BEGIN, PACKET, SPIKE, STIM, pack, split

START, STOP = 1000, 1025


def spike(timestamp, channel, amplitude_uv=-30.0):
    samples = np.zeros(N_WAVEFORM, np.float32)
    samples[TRIGGER_AT + 4] = amplitude_uv
    return SimpleNamespace(timestamp=timestamp, channel=channel, samples=samples)


def test_channels_run_down_the_columns_of_the_array():
    where = channel_positions_um([1, 8, 62], 200)
    assert where.tolist() == [[0, 200], [200, 0], [1400, 1200]]
    assert set(range(64)) - set(USABLE) == {0, 4, 7, 56, 63}


@given(st.sampled_from([100.0, 200.0]))
def test_a_position_tells_its_channel(pitch_um):
    assert channels_at(channel_positions_um(range(64), pitch_um), pitch_um).tolist() == list(range(64))


def test_positions_outside_an_array_of_8_by_8_are_told():
    with pytest.raises(ValueError, match="8 rows and columns"):
        channels_at(np.array([[0.0, 0.0], [1600.0, 0.0]]), 200)


def test_a_spike_keeps_its_sample_channel_and_peak():
    (record,) = spike_records([spike(1003, 9, 41.5)], indices_of((8, 9)), START, STOP)
    assert record["sample_index"] == record["known_sample"] == 1003
    assert (record["channel_index"], record["amplitude_uv"]) == (1, 41.5)


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(-100, 100)), max_size=20))
def test_whatever_is_told_becomes_spikes_of_the_window_on_channels_that_are_taken(told):
    records = spike_records([spike(*words) for words in told], indices_of(USABLE), START, STOP)
    assert len(records) == sum(channel in USABLE for _, channel in told)
    assert ((records["known_sample"] >= START) & (records["known_sample"] < STOP)).all()
    assert (records["sample_index"] <= records["known_sample"]).all()
    order = np.lexsort((records["channel_index"], records["known_sample"]))
    assert (order == np.arange(len(records))).all()


def test_a_pulse_becomes_a_design_of_whole_microseconds():
    assert design(Pulse(-1.0, 200.0, 0.5, 400.0, "uA")) == (200, -1.0, 400, 0.5)


@pytest.mark.parametrize(
    ("pulse", "told"),
    [
        (Pulse(-1.0, 210.0, 1.0, 210.0, "uA"), ["first_us is 210 us", "second_us is 210 us"]),
        (Pulse(-1.0, 200.0, 1.0, 200.0, "uA", 40.0), ["interphase_us is 40 us"]),
        (Pulse(1.0, 200.0, 1.0, 200.0, "uA"), ["same sign"]),
        (Pulse(-1.0, 200.0, 1.0, 200.0, "uA"), []),
    ],
)
def test_what_a_design_cannot_be_is_told(pulse, told):
    faults = list(pulse_faults(pulse))
    assert len(faults) == len(told)
    assert all(word in fault for word, fault in zip(told, faults, strict=True))


def packet(start, frames, spikes=(), stims=()):
    spikes, stims = np.array(list(spikes), SPIKE), np.array(list(stims), STIM)
    begin = BEGIN.pack(start, 25, len(frames), len(spikes), len(stims))
    return begin + frames.tobytes() + spikes.tobytes() + stims.tobytes()


@given(st.lists(st.tuples(st.sampled_from([PACKET, ANSWER]), st.binary(max_size=40)), max_size=5), st.data())
def test_messages_survive_any_cut(messages, data):
    stream, waiting, came = b"".join(pack(*message) for message in messages), bytearray(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        waiting += stream[:n]
        stream = stream[n:]
        came += split(waiting)
    assert came == messages
    assert not waiting


@pytest.mark.parametrize("n_sent", [0, 25])
def test_a_packet_arrives_as_it_was_sent(n_sent):
    frames = np.arange(n_sent * 64, dtype="<i2").reshape(n_sent, 64)
    came = unpacked(packet(START, frames, [(1003, 9, -31.0)], [(1010, 12, 0)]))
    assert (came.start, came.stop) == (START, STOP)
    assert came.frames.shape == (25, 64)
    assert np.array_equal(came.frames[:n_sent], frames)
    assert came.spikes.tolist() == [(1003, 9, -31.0)]
    assert came.stims.tolist() == [(1010, 12, 0)]
