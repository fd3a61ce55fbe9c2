"""The wire of the Open Ephys GUI: what is written is read back, and damaged messages are nothing at all."""

import json
import struct

import flatbuffers
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wetloop_drivers.open_ephys_falcon import FalconMessage, pack_falcon, parse_falcon
from wetloop_drivers.open_ephys_wire import (
    DATA,
    EVENT,
    DataMessage,
    EventMessage,
    SpikeMessage,
    answer_to_client,
    heartbeat,
    pack_data,
    pack_event,
    pack_spike,
    parse_message,
    parse_trigger,
    parse_ttl,
    to_bits,
    trigger_text,
    ttl_text,
)

NUMBERS = st.integers(0, 1 << 40)
LINES, WORDS = st.integers(0, 255), st.integers(0, 2**64 - 1)
FINITE = st.floats(-(2.0**20), 2.0**20, width=32)
ROWS = arrays(np.float32, st.integers(1, 300), elements=FINITE)
TABLES = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 60)), elements=FINITE)
NAMES = st.text(max_size=20)
SPIKE = SpikeMessage(7, "probe", "Electrode 3", 12345, 1, np.full((1, 40), -60, np.float32))
BUFFER = FalconMessage(
    3, "probe", 9000, 30000, 12.5, np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(4, dtype="u2")
)


def same(read, written):
    return read is not None and all(np.array_equal(a, b) for a, b in zip(read, written, strict=True))


@given(NUMBERS, NAMES, st.integers(0, 10_000), NUMBERS, st.sampled_from([1000.0, 30000.0, 24414.0625]), ROWS)
def test_a_channel_comes_back(number, stream, channel, start, rate, samples):
    message = DataMessage(number, stream, channel, start, rate, samples)
    assert same(parse_message(pack_data(message, "CH1", 5)), message)


@given(NUMBERS, NAMES, NUMBERS, LINES, st.integers(0, 1), WORDS)
def test_a_ttl_event_comes_back(number, stream, sample, line, state, word):
    message = EventMessage(number, stream, sample, line, state, word)
    assert parse_message(pack_event(message, 5)) == message


@given(NUMBERS, NAMES, NAMES, NUMBERS, TABLES)
def test_a_spike_comes_back(number, stream, electrode, sample, waveform):
    message = SpikeMessage(number, stream, electrode, sample, 2, waveform)
    assert same(parse_message(pack_spike(message, 5)), message)


@given(st.lists(st.binary(max_size=200), max_size=4), st.sampled_from([DATA, EVENT, b"DATA"]))
def test_random_frames_are_nothing(frames, envelope):
    assert parse_message(frames) is None
    assert parse_message([envelope, *frames]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_any_json_in_place_of_a_field_is_nothing_or_keeps_the_format(value):
    for part in ("electrode", "sample_num", "num_samples", "num_channels"):
        header = json.loads(pack_spike(SPIKE, 5)[1])
        header["spike"][part] = value
        read = parse_message([EVENT, json.dumps(header).encode(), SPIKE.waveform_uv.tobytes()])
        assert read is None or (isinstance(read.electrode, str) and 0 <= read.sample_index <= 1 << 62)


def test_a_deep_or_a_huge_header_is_nothing():
    assert parse_message([DATA, b"[" * 200_000, b""]) is None
    deep = b'{"message_num": 1, "type": "data", "content": {"sample_rate": 1' + b"0" * 400 + b', "num_samples": 1}}'
    assert parse_message([DATA, deep, bytes(4)]) is None


@given(st.data())
def test_a_truncated_message_is_nothing(data):
    for frames in (
        pack_data(DataMessage(1, "p", 2, 3, 30000.0, np.zeros(9, np.float32)), "CH1", 5),
        pack_spike(SPIKE, 5),
    ):
        which = data.draw(st.integers(1, 2))
        cut = list(frames)
        cut[which] = cut[which][: data.draw(st.integers(0, len(cut[which]) - 1))]
        assert parse_message(cut) is None
        assert parse_message(frames[:2]) is None
        assert parse_message([*frames, b""]) is None


def test_waveforms_that_are_no_numbers_are_no_spikes():
    assert parse_message(pack_spike(SPIKE._replace(waveform_uv=np.full((1, 3), np.nan, np.float32)), 5)) is None


@given(st.tuples(NUMBERS, NAMES, NUMBERS, st.integers(1, 100_000), st.floats(0, 1e9)), TABLES, st.booleans())
def test_a_falcon_buffer_comes_back(head, samples, has_codes):
    codes = np.arange(samples.shape[1] if has_codes else 0, dtype=np.uint16)
    message = FalconMessage(*head, samples, codes)
    assert same(parse_falcon(pack_falcon(message)), message)


def test_the_library_reads_our_falcon_buffer():
    frame = bytearray(pack_falcon(BUFFER))
    where = flatbuffers.encode.Get(flatbuffers.packer.uoffset, frame, 0)
    table = flatbuffers.table.Table(frame, where)
    flags = flatbuffers.number_types
    assert table.Get(flags.Uint32Flags, table.Offset(10) + table.Pos) == 3
    assert table.Get(flags.Uint32Flags, table.Offset(12) + table.Pos) == 4
    assert table.Get(flags.Uint64Flags, table.Offset(14) + table.Pos) == 9000
    assert table.Get(flags.Float64Flags, table.Offset(16) + table.Pos) == 12.5
    assert table.Get(flags.Uint64Flags, table.Offset(18) + table.Pos) == 3
    assert table.Get(flags.Uint32Flags, table.Offset(20) + table.Pos) == 30000
    assert table.String(table.Offset(8) + table.Pos) == b"probe"
    assert table.GetVectorAsNumpy(flags.Float32Flags, table.Offset(4)).tolist() == list(range(12))
    assert table.GetVectorAsNumpy(flags.Uint16Flags, table.Offset(6)).tolist() == [0, 1, 2, 3]


@given(NUMBERS, NUMBERS, st.integers(1, 100_000), TABLES, st.permutations(range(9)))
def test_we_read_what_the_library_writes(number, start, rate, samples, order):
    builder = flatbuffers.Builder(64)
    codes = builder.CreateNumpyVector(np.zeros(samples.shape[1], np.uint16))
    stream, values = builder.CreateString("probe"), builder.CreateNumpyVector(samples.ravel())
    builder.StartObject(9)
    slots = [
        *(
            lambda k=k, at=at: builder.PrependUOffsetTRelativeSlot(k, at, 0)
            for k, at in enumerate((values, codes, stream))
        ),
        *(lambda k=k: builder.PrependUint32Slot(3 + k, samples.shape[k], 0) for k in (0, 1)),
        lambda: builder.PrependUint64Slot(5, start, 0),
        lambda: builder.PrependFloat64Slot(6, 1.5, 0),
        lambda: builder.PrependUint64Slot(7, number, 0),
        lambda: builder.PrependUint32Slot(8, rate, 0),
    ]
    for slot in order:
        slots[slot]()
    builder.Finish(builder.EndObject())
    read = parse_falcon(bytes(builder.Output()))
    assert same(read, FalconMessage(number, "probe", start, rate, 1.5, samples, np.zeros(samples.shape[1], np.uint16)))


@given(st.binary(max_size=400))
def test_random_bytes_are_no_falcon_buffer(frame):
    assert parse_falcon(frame) is None


def test_no_cut_of_a_falcon_buffer_is_read():
    frame = pack_falcon(BUFFER)
    assert [n for n in range(len(frame) - 3) if parse_falcon(frame[:n]) is not None] == []


@settings(max_examples=300)
@given(st.integers(0, 83), st.binary(min_size=1, max_size=8))
def test_a_corrupted_falcon_buffer_is_nothing_or_keeps_its_shape(at, bytes_):
    frame = bytearray(pack_falcon(BUFFER))
    frame[at : at + len(bytes_)] = bytes_
    read = parse_falcon(bytes(frame))
    assert read is None or (read.samples_uv.size > 0 and read.event_codes.size in {0, read.samples_uv.shape[1]})


def test_a_vector_that_reaches_over_the_end_is_nothing():
    frame = bytearray(pack_falcon(BUFFER))
    frame[84:88] = struct.pack("<I", 1 << 31)
    assert parse_falcon(bytes(frame)) is None


@given(arrays(np.float32, (3, 20), elements=st.floats(-6000, 6000, width=32)))
def test_microvolts_lose_at_most_half_a_bit(samples):
    bits = to_bits(samples, 0.195)
    assert bits.shape == (20, 3)
    assert np.abs(bits.T * 0.195 - samples).max() <= 0.195 / 2 + 1e-3


@given(arrays(np.int16, (4, 9), elements=st.integers(-32767, 32767)))
def test_what_a_converter_of_this_gain_has_measured_is_exact(bits):
    assert np.array_equal(to_bits(bits.astype(np.float32) * np.float32(0.195), 0.195), bits.T)


def test_what_is_out_of_range_stays_at_the_rail():
    values = np.array([[np.inf, -np.inf, np.nan, 3e38, -3e38]], np.float32)
    assert to_bits(values, 0.195)[:, 0].tolist() == [32767, -32767, -32767, 32767, -32767]


@given(st.integers(1, 8), st.integers(10, 5000))
def test_a_trigger_comes_back(line, width_ms):
    assert parse_trigger(trigger_text(line, width_ms)) == (line, width_ms)


@given(st.text())
def test_other_messages_trigger_nothing(text):
    assert parse_trigger(text) is None


def test_the_board_refuses_other_lines_and_widths():
    assert [parse_trigger(f"ACQBOARD TRIGGER {line} {ms}") for line, ms in ((0, 10), (9, 10), (1, 9), (1, 5001))] == [
        None
    ] * 4


@given(st.integers(0, 99_999), st.integers(0, 1))
def test_a_ttl_request_comes_back(line, state):
    assert parse_ttl(ttl_text(line, state)) == (line, state)


@given(st.binary())
def test_other_requests_set_no_line(request_):
    assert parse_ttl(request_) is None


@given(st.binary())
def test_a_client_is_answered_whatever_it_says(request_):
    assert answer_to_client(request_) in {b"JSON message could not be read", b"message correctly parsed"}
    assert answer_to_client(heartbeat("wetloop", "1")) == b"heartbeat received"
