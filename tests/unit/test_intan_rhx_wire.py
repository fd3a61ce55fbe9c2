"""RHX's bytes: whatever way they are cut, glued, lost or spoilt, what comes out is what was sent, or less."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wetloop_drivers.intan_rhx_wire import (
    BLOCK_FRAMES,
    SpikeParser,
    WaveformParser,
    block_dtype,
    encode_blocks,
    encode_spikes,
    native_names,
    parse_reply,
    same_value,
    stim_onsets,
    to_samples,
    to_words,
    unwrapped,
    usb_blocks,
)

N_WORDS = 3
BLOCK_BYTES = block_dtype(N_WORDS).itemsize
NAMES = native_names(40, 32)
START = st.integers(0, 2**32 - 1)


def words_of(n_blocks, seed=1):
    return np.random.default_rng(seed).integers(0, 1 << 16, (n_blocks * BLOCK_FRAMES, N_WORDS)).astype(np.uint16)


def runs_of(parser, pieces, max_blocks=8):
    runs = []
    for piece in pieces:
        parser.feed(piece)
        while (run := parser.take(max_blocks)) is not None:
            runs.append(run)
    return runs


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_a_block_has_the_size_of_the_manual():
    assert BLOCK_BYTES == 4 + 128 * (4 + 2 * N_WORDS)
    data = encode_blocks(7, words_of(1))
    assert data[:8] == bytes([0x08, 0x7A, 0xF0, 0x2E, 7, 0, 0, 0])


@given(START, st.integers(1, 5), st.lists(st.integers(0, 1 << 20), max_size=20), st.integers(1, 3))
def test_blocks_survive_any_cutting(start, n_blocks, places, max_blocks):
    words = words_of(n_blocks)
    parser = WaveformParser(N_WORDS)
    runs = runs_of(parser, cut(encode_blocks(start, words), places), max_blocks)
    assert (np.concatenate([run.words for run in runs]) == words).all()
    ends = [start] + [run.stop_sample for run in runs]
    assert [run.start_sample for run in runs] == ends[:-1]
    assert parser.skipped_bytes == parser.repeated_samples == 0


def test_one_byte_at_a_time():
    data = encode_blocks(0, words_of(1))
    assert len(runs_of(WaveformParser(N_WORDS), [data[k : k + 1] for k in range(len(data))])) == 1


@given(st.binary(max_size=3 * BLOCK_BYTES))
def test_random_bytes_never_become_frames_and_never_hide_the_next_block(noise):
    parser = WaveformParser(N_WORDS)
    assert runs_of(parser, [noise]) == []
    found = runs_of(parser, [encode_blocks(1000, words_of(3))])
    assert found[-1].stop_sample == 1000 + 3 * BLOCK_FRAMES
    assert parser.skipped_bytes >= len(noise)


@given(st.integers(0, 3), st.integers(0, BLOCK_BYTES - 1), st.integers(1, 255), START)
@example(0, 0, 1, 2**32 - BLOCK_FRAMES)  # the first block that is seen begins after the wrap: no parser can know
def test_a_spoilt_byte_costs_its_block_and_in_a_magic_number_the_one_before(block, place, change, start):
    words = words_of(4)
    data = bytearray(encode_blocks(start, words))
    data[block * BLOCK_BYTES + place] ^= change
    seen = {}
    for run in runs_of(WaveformParser(N_WORDS), [bytes(data)]):
        seen |= {(run.start_sample + k) % 2**32: tuple(frame) for k, frame in enumerate(run.words)}
    lost = {block, block - 1} if place < 4 else {block}
    sent = {(start + k) % 2**32: tuple(frame) for k, frame in enumerate(words)}
    kept = [(start + k) % 2**32 for k in range(len(words)) if k // BLOCK_FRAMES not in lost]
    assert {sample: seen[sample] for sample in kept} == {sample: sent[sample] for sample in kept}
    assert set(seen) <= set(sent)


@given(st.integers(1, 3 * BLOCK_BYTES), st.integers(0, 2 * BLOCK_BYTES))
def test_lost_bytes_are_a_gap_and_nothing_is_shifted(n_lost, place):
    words = words_of(8)
    data = encode_blocks(500, words)
    runs = runs_of(WaveformParser(N_WORDS), [data[:place] + data[place + n_lost :]])
    for run in runs:
        assert (run.words == words[run.start_sample - 500 : run.stop_sample - 500]).all()
    assert runs[-1].stop_sample == 500 + len(words)


@given(st.integers(0, 3), st.integers(1, 4))
def test_repeated_blocks_come_once(first, n):
    words = words_of(4)
    blocks = cut(encode_blocks(0, words), [BLOCK_BYTES * k for k in range(1, 4)])
    again = blocks[: first + 1] + blocks[max(0, first + 1 - n) : first + 1] + blocks[first + 1 :]
    parser = WaveformParser(N_WORDS)
    runs = runs_of(parser, again)
    assert (np.concatenate([run.words for run in runs]) == words).all()
    assert parser.repeated_samples == min(n, first + 1) * BLOCK_FRAMES


def test_a_run_ends_where_blocks_are_missing():
    words = words_of(2)
    runs = runs_of(WaveformParser(N_WORDS), [encode_blocks(0, words) + encode_blocks(5 * BLOCK_FRAMES, words)])
    assert [run.start_sample for run in runs] == [0, 5 * BLOCK_FRAMES]


@pytest.mark.parametrize("top", [1 << 31, 1 << 32])
def test_time_goes_on_when_the_counter_wraps(top):
    start = top - BLOCK_FRAMES
    runs = runs_of(WaveformParser(N_WORDS), [encode_blocks(start, words_of(2)), encode_blocks(top + 128, words_of(1))])
    assert runs[-1].stop_sample == top + 2 * BLOCK_FRAMES


@given(st.integers(0, 1 << 40), st.integers(-(1 << 30), 1 << 30))
def test_timestamps_are_unwrapped_to_the_nearest(near, apart):
    timestamp = np.array([(near + apart) & 0xFFFFFFFF], np.uint32)
    assert unwrapped(timestamp, near)[0] == near + apart


def test_samples_are_signed_words():
    words = np.array([[0, 0x8000, 0xFFFF]], np.uint16)
    assert to_samples(words).tolist() == [[-32768, 0, 32767]]
    assert to_samples(words, np.array([2, 0])).tolist() == [[32767, -32768]]
    assert (to_words(to_samples(words)) == words).all()


SPIKES = st.lists(st.tuples(st.integers(0, 39), START, st.sampled_from([1, 2, 4, 8, 0x40, 0x80])), max_size=20)


def spike_bytes(spikes):
    return b"".join(encode_spikes([NAMES[c]], np.array([at]), spike_id) for c, at, spike_id in spikes)


def spikes_of(parser, pieces):
    found = []
    for piece in pieces:
        parser.feed(piece)
        found += [(int(s["channel_index"]), int(s["timestamp"]), int(s["id"])) for s in parser.take()]
    return found


@given(SPIKES, st.lists(st.integers(0, 1 << 12), max_size=20))
def test_spikes_survive_any_cutting(spikes, places):
    assert spikes_of(SpikeParser(NAMES), cut(spike_bytes(spikes), places)) == spikes


@given(st.binary(max_size=500))
def test_random_bytes_never_become_spikes(noise):
    parser = SpikeParser(NAMES)
    assert spikes_of(parser, [noise]) == []
    wanted = [(3, 77, 0x40)]
    assert spikes_of(parser, [spike_bytes(wanted * 3)])[-1:] == wanted


@given(st.integers(0, 13), st.integers(1, 255), SPIKES.filter(len))
def test_a_spoilt_spike_costs_no_other(place, change, spikes):
    data = bytearray(spike_bytes([*spikes, (0, 1, 1), *spikes]))
    data[14 * len(spikes) + place] ^= change
    found = spikes_of(SpikeParser(NAMES), [bytes(data)])
    assert found[: len(spikes)] == spikes
    assert found[-len(spikes) :] == spikes
    assert len(found) <= 2 * len(spikes) + 1


def test_spikes_of_unknown_channels_are_left_out():
    assert spikes_of(SpikeParser(NAMES[:2]), [spike_bytes([(5, 1, 1), (1, 2, 1)])]) == [(1, 2, 1)]


def test_the_begin_of_a_pulse_is_seen_once_also_over_blocks():
    words = np.zeros((6, 2), np.uint16)
    words[1:3, 0], words[3:5, 0], words[4:, 1] = 0x010A, 0x000A, 0x0105
    frames, columns = stim_onsets(words, np.zeros(2, np.uint16))
    assert list(zip(frames, columns, strict=True)) == [(1, 0), (4, 1)]
    assert stim_onsets(words[5:], words[4])[0].size == 0


@pytest.mark.parametrize(
    ("text", "parameter", "complaints", "value"),
    [
        ("Return: RunMode Run", "runmode", "", "Run"),
        ("Return: StimEnabled True", "A-010.StimEnabled", "", "True"),
        ("Return: -1", "CurrentTimestamp", "", "-1"),
        ("Return: RunMode ", "RunMode", "", None),
        ("Retu", "RunMode", "Retu", None),
        ("Unrecognized parameter", "x", "Unrecognized parameter", None),
        ("Unrecognized parameterReturn: RunMode Stop", "RunMode", "Unrecognized parameter", "Stop"),
        ("", "RunMode", "", None),
    ],
)
def test_replies(text, parameter, complaints, value):
    assert parse_reply(text, parameter) == (complaints, value)


@settings(max_examples=50)
@given(st.text(max_size=60), st.text("abc.", max_size=10))
def test_any_text_is_a_reply_or_a_complaint(text, parameter):
    reply = parse_reply(text, parameter)
    assert reply.value is None or reply.value in text


def test_values_are_compared_as_numbers_where_they_are():
    assert same_value("10000", "1e4")
    assert same_value("TRUE", "True")
    assert not same_value("0.2", "0.1")
    assert not same_value("Run", "Stop")


@pytest.mark.parametrize(("rate", "blocks"), [(30_000, 8), (25_000, 6), (20_000, 5), (15_000, 4), (10_000, 3)])
def test_bursts_are_those_of_rhx(rate, blocks):
    assert usb_blocks(rate) == blocks
