"""A serial line to a device that answers in pieces, late, or not at all."""

from contextlib import contextmanager

import pytest

from wetloop.core.errors import RigError
from wetloop_drivers.emulators.serial_port import DevicePort
from wetloop_drivers.serial_line import SerialLine, first_to_answer
from wetloop_drivers.stimjim_wire import IsDumpEnd, Stage, Train, decode_dump, encode_dump

TRAIN = Train((1, 3), 2000, 1900, (Stage(5, 0, 200), Stage(-5, 0, 200)))


@contextmanager
def line_to(pieces, timeout_s=20.0):
    """Give a line to a device that says one piece whenever it has been left alone for a moment."""
    left = list(pieces)
    port = DevicePort(lambda data: data or (left.pop(0) if left else b""))
    line = SerialLine(port.name, "device", timeout_s=timeout_s)
    try:
        yield line
    finally:
        line.close()
        port.close()


def cut(data, size):
    return [data[k : k + size] for k in range(0, len(data), size)]


def test_lines_in_pieces_are_whole_and_the_rest_is_kept():
    said = encode_dump(7, TRAIN) + b"Train comp"
    with line_to([*cut(said, 97), b"lete.\r\n"]) as line:
        assert decode_dump(line.read_lines(IsDumpEnd())) == (7, TRAIN)
        assert line.read_lines(lambda text: "complete" in text) == ["Train complete."]


def test_what_follows_the_last_line_is_not_lost():
    with line_to([b"first\r\nsecond\r\nthird"]) as line:
        assert line.read_lines(lambda text: text == "first") == ["first"]
        assert line.read_waiting() == b"second\r\nthird"


def test_an_answer_in_pieces_is_put_together():
    with line_to([b"K", b"\x15\0", b"\0\0"]) as line:
        assert line.read_exactly(5) == b"K\x15\0\0\0"


def test_what_was_not_asked_for_is_thrown_away():
    with line_to([]) as line:
        line.write(b"stale")
        line.flush_stale()
        assert line.read_waiting() == b""


def test_an_answer_that_does_not_come_is_told_with_what_did():
    with line_to([b"K\r\n"], timeout_s=0.2) as line:
        with pytest.raises(RigError, match=r"device at /dev/.* within 0.2 s \(\d of 5 bytes came\)"):
            line.read_exactly(5)
        with pytest.raises(RigError, match=r"\(\d lines came\)"):
            line.read_lines(lambda text: text == "never")


def test_a_port_that_does_not_exist_is_told(tmp_path):
    port = str(tmp_path / "none")
    with pytest.raises(RigError, match=f"(?s)no device answers.*{port} cannot be opened"):
        first_to_answer([port], "device", lambda name: SerialLine(name, "device"))
