"""Harp frames: the documented example, round trips, and finding the next frame after anything else."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wetloop_drivers import harp_wire as wire

EXAMPLE = bytes.fromhex("030c20ff120c000000093dd20468")
TICKS = st.integers(0, (1 << 32) * 31_250 - 1).map(
    lambda ticks: ticks // 31_250 * 1_000_000 + ticks % 31_250 * wire.TICK_US
)
TYPES = st.sampled_from([1, 2, 4, 8, 0x81, 0x82, 0x84, 0x88, 0x44])
MESSAGES = st.builds(
    wire.Message, st.sampled_from([1, 2, 3]), st.integers(0, 255), TYPES, st.binary(max_size=200),
    st.none() | TICKS, st.integers(0, 255), st.booleans(),
)  # fmt: skip


def test_the_documented_event():
    message = wire.Message(wire.EVENT, 32, 2, (1234).to_bytes(2, "little"), 12_500_000)
    assert wire.decode(EXAMPLE) == message
    assert wire.encode(message) == EXAMPLE
    assert message.value == 1234


def test_a_read_request_has_length_four():
    assert wire.request(wire.WHO_AM_I, 2) == bytes((1, 4, 0, 0xFF, 2, 6))


@given(MESSAGES)
def test_a_message_survives_its_frame(message):
    assert wire.decode(wire.encode(message)) == message


@given(MESSAGES, st.integers(0, 300), st.integers(1, 255))
def test_a_changed_byte_makes_no_other_message_of_its_length(message, at, change):
    frame = bytearray(wire.encode(message))
    frame[at % len(frame)] ^= change
    assert wire.decode(bytes(frame)) is None


@given(MESSAGES, st.integers(1, 300))
def test_a_truncated_frame_is_none(message, missing):
    assert wire.decode(wire.encode(message)[: -min(missing, 200)]) is None


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0, 2000), max_size=12))
def test_messages_are_the_same_in_any_pieces(messages, places):
    data = b"".join(map(wire.encode, messages))
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    frames = wire.Frames()
    assert [message for a, b in pairwise(edges) for message in frames.feed(data[a:b])] == messages
    assert frames.skipped == 0


@given(st.binary(max_size=60), MESSAGES)
def test_the_next_frames_are_found_after_noise(noise, message):
    frames = wire.Frames()
    found = frames.feed(noise + wire.encode(message) * 50)
    assert found[-1:] == [message]


@given(st.binary(max_size=600))
def test_any_bytes_are_taken_one_at_a_time(data):
    frames = wire.Frames()
    apart = [message for byte in data for message in frames.feed(bytes((byte,)))]
    assert apart == wire.Frames().feed(data)
