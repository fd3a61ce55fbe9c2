"""The bytes of a Pulse Pal: both layouts of its settings, and messages that come in any pieces."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop_drivers import pulsepal_wire as wire

FILES = st.binary(min_size=178, max_size=178)
SENT = st.sampled_from(
    [
        wire.message(wire.HANDSHAKE),
        wire.message(wire.TRIGGER, b"\x05"),
        wire.message(wire.PROGRAM, bytes(range(178))),
        wire.message(wire.PROGRAM_ONE, b"\x04\x01" + b"\xd5\x4d\x0f\x00"),
        wire.message(wire.PROGRAM_ONE, b"\x02\x03\x00\x80"),
        wire.message(wire.CUSTOM_1, b"\x02\x00\x00\x00" + bytes(12)),
        wire.text_message(b"a\xfeb"),
        wire.save_message("wetloop.pps"),
        wire.message(wire.CLIENT, b"WETLP "),
        wire.message(200),
    ]
)


def cut(data, places):
    """Cut bytes at these places."""
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(FILES)
def test_settings_survive_both_layouts(stored):
    settings = wire.decode_file(stored)
    assert settings.tobytes() == stored
    again = wire.decode_program(wire.encode_program(settings))
    assert again.tobytes() == stored
    assert wire.differences(again, settings) == []


@given(FILES, st.integers(0, 177), st.integers(1, 255))
def test_any_changed_byte_is_a_difference(stored, at, change):
    other = bytearray(stored)
    other[at] ^= change
    assert len(wire.differences(wire.decode_file(bytes(other)), wire.decode_file(stored))) == 1


def test_the_program_of_the_second_output_lies_where_the_firmware_reads_it():
    settings = wire.blank_settings()
    settings["outputs"]["phase2_cycles"][1] = 0x01020304
    settings["outputs"]["resting_word"][1] = 0x0506
    settings["outputs"]["custom_loop"][1] = 7
    settings["triggers"]["links"][1, 2] = 9
    program = wire.encode_program(settings)
    assert len(program) == 178
    assert program[32 + 8 : 32 + 12] == bytes((4, 3, 2, 1))
    assert program[128 + 6 + 4 : 128 + 6 + 6] == bytes((6, 5))
    assert program[128 + 24 + 4 + 3] == 7
    assert program[128 + 24 + 16 + 4 + 2] == 9


@pytest.mark.parametrize(
    ("amplitude_mv", "word"), [(-10_000.0, 0), (-5000.0, 16_384), (0.0, 32_768), (5000.0, 49_152), (75.0, 33_014)]
)
def test_voltages_become_the_words_of_the_manual(amplitude_mv, word):
    assert wire.word_of(amplitude_mv) == word


@given(st.lists(SENT, max_size=6), st.lists(st.integers(0, 2000), max_size=12))
def test_messages_are_the_same_in_any_pieces(sent, places):
    whole = wire.Messages().feed(b"".join(sent))
    messages = wire.Messages()
    pieces = [message for piece in cut(b"".join(sent), places) for message in messages.feed(piece)]
    assert pieces == whole
    assert [bytes((wire.START, m.operation)) + m.arguments for m in whole] == sent
    assert not messages.begun


@given(SENT, st.integers(1, 300))
def test_a_truncated_message_is_none(sent, missing):
    messages = wire.Messages()
    assert messages.feed(sent[: -min(missing, len(sent))]) == []


@given(st.binary(max_size=400).filter(lambda data: wire.START not in data))
def test_noise_without_the_first_byte_is_no_message(noise):
    messages = wire.Messages()
    assert messages.feed(noise) == []
    assert messages.feed(wire.message(wire.HANDSHAKE)) == [wire.Message(wire.HANDSHAKE, b"")]


@given(st.binary(max_size=600))
def test_any_bytes_are_taken(data):
    messages, settings = wire.Messages(), wire.blank_settings()
    for byte in data:
        for message in messages.feed(bytes((byte,))):
            if message.operation == wire.PROGRAM_ONE:
                wire.set_parameter(settings, message.arguments)
    assert len(settings.tobytes()) == 178


@given(st.binary(max_size=8))
def test_only_the_answer_of_a_pulse_pal_is_one(answer):
    firmware = wire.decode_hello(answer)
    assert firmware is None or wire.encode_hello(firmware) == answer


def test_each_parameter_is_set_alone():
    for code, name in wire.PARAMETERS.items():
        settings, size = wire.blank_settings(), wire.parameter_bytes(code)
        before = wire.blank_settings()
        wire.set_parameter(settings, bytes((code, 2)) + (5).to_bytes(size, "little"))
        assert np.count_nonzero(np.frombuffer(settings.tobytes(), "u1") != np.frombuffer(before.tobytes(), "u1"))
        assert len(wire.differences(settings, before)) == 1, name
