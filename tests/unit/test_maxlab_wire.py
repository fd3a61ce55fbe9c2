"""Frames of MaxLab Live: round trips, damage of every kind, gaps; random bytes never become spikes."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.core.errors import ConfigError, RigError
from wetloop.core.types import Signal
from wetloop_drivers.maxlab import MaxLabConfig
from wetloop_drivers.maxlab_stream import Assembler
from wetloop_drivers.maxlab_wire import (
    AMPLITUDES_BYTES,
    LAYOUTS,
    N_CHANNELS,
    TOLD_SPIKE,
    Routing,
    electrode_positions_um,
    electrodes_at,
    fits_other_layout,
    pack_frame,
    pack_routing,
    parse_frames,
    parse_routing,
)

ZEROS = bytes(AMPLITUDES_BYTES)
RECORDS = st.sampled_from(sorted(LAYOUTS))
SPIKES = st.lists(
    st.tuples(
        st.integers(0, 200), st.integers(0, N_CHANNELS - 1), st.floats(-500, 500, width=32), st.integers(0, 5)
    ),
    max_size=8,
)  # fmt: skip


def spikes_at(number, told):
    spikes = np.zeros(len(told), TOLD_SPIKE)
    for k, (behind, channel, amplitude, well) in enumerate(told):
        spikes[k] = (number - behind, number, channel, well, amplitude)
    return spikes


def assembler(**settings):
    config = MaxLabConfig(**settings)
    offset = 512.0 if config.stream == "raw" else 0.0
    return Assembler(
        config.build(1).info, config.routing.channels, well=config.well, record_bytes=config.spike_record_bytes,
        offset=offset, steps=config.steps,
    )  # fmt: skip


def frames(numbers):
    return [pack_frame(number, ZEROS, spikes_at(number, []), 16) for number in numbers]


def spans(blocks):
    return [(block.start_sample, block.n_samples) for block in blocks]


@given(RECORDS, st.integers(1000, 1 << 60), st.lists(SPIKES, min_size=1, max_size=5))
def test_frames_come_out_as_they_went_in(record_bytes, first, told):
    sent = [spikes_at(first + k, some) for k, some in enumerate(told)]
    messages = [pack_frame(first + k, ZEROS, some, record_bytes) for k, some in enumerate(sent)]
    parsed = parse_frames(messages, record_bytes, with_amplitudes=True)
    wanted = np.concatenate(sent)
    if record_bytes == 24:
        wanted["well"] = 0
    assert parsed.numbers.tolist() == list(range(first, first + len(told)))
    assert parsed.spikes.tobytes() == wanted.tobytes()
    assert (parsed.strange_frames, parsed.strange_spikes) == (0, 0)


@given(st.lists(st.lists(st.binary(max_size=64), max_size=4), max_size=8), RECORDS, st.booleans())
def test_random_parts_never_become_spikes(messages, record_bytes, with_amplitudes):
    parsed = parse_frames(messages, record_bytes, with_amplitudes=with_amplitudes)
    assert len(parsed.numbers) + parsed.strange_frames == len(messages)
    near = np.abs(parsed.spikes["told_frame"] - parsed.spikes["frame"])
    assert (near <= 4096).all()
    assert (parsed.spikes["channel"] < N_CHANNELS).all()


@given(st.binary(min_size=16, max_size=480), RECORDS)
def test_random_records_behind_a_good_frame_are_left_out(noise, record_bytes):
    parsed = parse_frames([[(1 << 50).to_bytes(8, "little"), ZEROS, noise]], record_bytes, with_amplitudes=True)
    assert len(parsed.spikes) == 0
    assert parsed.strange_spikes >= 1


@given(SPIKES.filter(bool), st.integers(0, 400), RECORDS)
def test_a_truncated_part_is_told_and_the_frame_stays(told, cut, record_bytes):
    number, parts = 5000, pack_frame(5000, ZEROS, spikes_at(5000, told), record_bytes)
    parts[2] = parts[2][: min(cut, len(parts[2]) - 1)]
    parsed = parse_frames([parts], record_bytes, with_amplitudes=True)
    assert parsed.numbers.tolist() == [number]
    whole = len(parts[2]) % record_bytes == 0
    assert parsed.strange_spikes == (0 if whole else 1)


def test_spikes_may_come_in_several_parts():
    spikes = spikes_at(5000, [(0, 1, -20.0, 0), (3, 2, -30.0, 0)])
    parts = pack_frame(5000, ZEROS, spikes, 16)
    split = [*parts[:2], parts[2][:16], b"", parts[2][16:]]
    assert parse_frames([split], 16, with_amplitudes=True).spikes.tobytes() == spikes.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 2048.0])
def test_a_frame_with_an_impossible_amplitude_is_left_out(value):
    amplitudes = np.zeros(N_CHANNELS, "<f4")
    amplitudes[7] = value
    messages = [pack_frame(10, amplitudes.tobytes(), spikes_at(10, [(0, 7, -9.0, 0)]), 16)]
    parsed = parse_frames(messages, 16, with_amplitudes=True)
    assert (len(parsed.numbers), len(parsed.spikes), parsed.strange_frames) == (0, 0, 1)


@pytest.mark.parametrize(("sent", "expected"), [(16, 24), (24, 16)])
def test_the_other_layout_is_recognised_and_never_taken(sent, expected):
    messages = [pack_frame(9000, ZEROS, spikes_at(9000, [(1, 3, -20.0, 1), (2, 9, -30.0, 1), (4, 5, -7.0, 1)]), sent)]
    assert len(parse_frames(messages, expected, with_amplitudes=True).spikes) == 0
    assert fits_other_layout(messages, expected) == sent
    assert fits_other_layout(messages, sent) is None


def test_frames_become_blocks_of_at_most_a_packet():
    parts = assembler(packet_ms=0.5)
    assert spans(parts.take(frames(range(100, 125)))) == [(101, 10), (111, 10), (121, 4)]
    assert parts.wanted == 5
    assert spans(parts.take(frames(range(125, 130)))) == [(125, 5)]
    assert parts.wanted == 10


def test_a_gap_shows_and_costs_one_frame_more():
    parts = assembler()
    blocks = parts.take(frames([*range(10, 20), *range(30, 40)]))
    assert spans(blocks) == [(11, 9), (31, 9)]
    assert parts.strange_frames == 2


@given(st.integers(12, 28), st.integers(0, (1 << 64) - 1))
def test_a_damaged_number_costs_a_frame_or_two(at, number):
    parts, sent = assembler(), frames(range(10, 30))
    sent[at - 10][0] = number.to_bytes(8, "little")
    blocks = parts.take(sent)
    got = {k for start, n in spans(blocks) for k in range(start, start + n)}
    assert got <= set(range(11, 30))
    assert got >= set(range(11, 30)) - {at, at + 1}


def test_repeated_frames_are_left_out():
    parts = assembler()
    first = spans(parts.take(frames(range(10, 30))))
    again = spans(parts.take(frames([*range(20, 30), *range(30, 40)])))
    assert (first, again) == ([(11, 19)], [(30, 10)])


def test_a_counter_that_starts_anew_is_told():
    parts = assembler()
    parts.take(frames(range(50_000, 50_010)))
    with pytest.raises(RigError, match="went back from 50010 to"):
        parts.take(frames(range(20_002)))


def test_spikes_are_those_of_the_well_on_recorded_channels_in_order():
    parts = assembler(model="maxtwo", well=2, electrodes=[5, 6], channels=[700, 40])
    told = [(3, 700, -20.0, 2), (1, 40, -10.0, 2), (1, 40, -10.0, 3), (1, 41, -10.0, 2)]
    messages = [*frames([99]), pack_frame(100, ZEROS, spikes_at(100, told), 16)]
    (block,) = parts.take(messages)
    assert block.spikes["channel_index"].tolist() == [0, 1]
    assert block.spikes["sample_index"].tolist() == [97, 99]
    assert block.spikes["known_sample"].tolist() == [100, 100]
    assert block.spikes["amplitude_uv"] == pytest.approx([-20 * 3.3e6 / 1024 / 512, -10 * 3.3e6 / 1024 / 512])


@pytest.mark.parametrize(("stream", "rest"), [("raw", 512.0), ("filtered", 0.0)])
def test_samples_are_the_amplitudes_of_the_recorded_channels(stream, rest):
    config = MaxLabConfig(signal="samples", stream=stream, electrodes=[5, 6], channels=[700, 40])
    amplitudes = np.full(N_CHANNELS, rest, "<f4")
    amplitudes[[700, 40]] += [-12.0, 3.0]
    sent = [pack_frame(number, amplitudes.tobytes(), spikes_at(0, []), 16) for number in (4, 5, 6)]
    (block,) = assembler(**config.model_dump(exclude={"kind"})).take(sent)
    info = config.build(1).info
    assert info.signal is Signal.SAMPLES
    assert (block.start_sample, block.samples.shape) == (5, (2, 2))
    assert block.samples[0] * info.gain_uv == pytest.approx(np.array([-12, 3]) * 3.3e6 / 1024 / 512)


@given(st.lists(st.integers(0, 26_399), min_size=1, max_size=40, unique=True))
def test_a_routing_is_read_as_it_was_written(electrodes):
    channels = tuple(range(0, 20 * len(electrodes), 20))
    routing = Routing(channels, tuple(electrodes), electrode_positions_um(electrodes))
    read = parse_routing(pack_routing(routing))
    assert read[:2] == routing[:2]
    assert electrodes_at(read.positions_um) == tuple(electrodes)


@pytest.mark.parametrize("text", ["", "1(2)x/y;", "1(2)3;4", "1(2)3/4;1(3)5/6;", "1024(2)3/4;", "1(2)1e/3;"])
def test_a_damaged_configuration_is_refused(text):
    with pytest.raises(ConfigError):
        parse_routing(text)


@given(st.text(max_size=60))
def test_any_text_is_a_routing_or_refused(text):
    with suppress(ConfigError):
        assert parse_routing(text).channels


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stream": "raw"}, "raw stream has no spikes"),
        ({"model": "maxtwo", "signal": "samples"}, "tell their well"),
        ({"model": "maxtwo", "spike_record_bytes": 24}, "tell their well"),
        ({"well": 1}, "one well"),
        ({"electrodes": [1, 2], "channels": [1]}, "1 channels for 2 electrodes"),
        ({"electrodes": [1, 2], "channels": [1024, 0]}, "0 to 1023"),
        ({"electrodes": []}, "one or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, told):
    with pytest.raises(ValidationError, match=told):
        MaxLabConfig(**settings)


def test_a_configuration_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match=r"source\.configuration: nowhere\.cfg cannot be read"):
        MaxLabConfig(configuration="nowhere.cfg").build(1)
