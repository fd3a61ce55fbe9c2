"""The harp packages, which we did not write, read our frames, write ours, and drive our emulated device."""

import pytest
import serial
from harp.device.client import Device, DeviceError, HarpFramer
from harp.device.core import TimestampSeconds, WhoAmI
from harp.protocol import HarpMessage, MessageType, PayloadType, RegisterU16
from harp.serial import SerialTransport
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.clock import wait_until
from wetloop.emulation import bench
from wetloop_drivers import harp_wire as wire

KINDS = {wire.READ: MessageType.Read, wire.WRITE: MessageType.Write, wire.EVENT: MessageType.Event}
SIZES = {1: PayloadType.U8, 2: PayloadType.U16, 4: PayloadType.U32, 8: PayloadType.U64}
TIMES = st.none() | st.integers(0, 1 << 40).map(lambda us: us // wire.TICK_US * wire.TICK_US)


class OutputSet(RegisterU16):
    address = 34


class OutputState(RegisterU16):
    address = 37


class PlainTransport(SerialTransport):
    """Theirs without the DTR line, which a pseudo-terminal does not have."""

    def open(self):
        self._serial = serial.Serial(self._port, 1_000_000, timeout=0.1)


@given(st.sampled_from([1, 2, 3]), st.integers(0, 255), st.sampled_from([1, 2, 4, 8]), st.integers(0, 255), TIMES)
def test_both_make_the_same_frame_and_read_each_other(kind, address, size, value, time_us):
    ours = wire.Message(kind, address, size, value.to_bytes(size, "little"), time_us)
    seconds = None if time_us is None else time_us / 1e6
    theirs = HarpMessage(KINDS[kind], address, SIZES[size], value.to_bytes(size, "little"), timestamp=seconds)
    assert theirs.address == address
    read = HarpMessage.parse(wire.encode(ours))
    assert (read.message_type, read.address, read.payload_type) == (KINDS[kind], address, SIZES[size])
    assert bytes(read.payload_bytes) == ours.payload
    assert read.timestamp == (None if seconds is None else pytest.approx(seconds, abs=wire.TICK_US * 1e-6))
    back = wire.decode(theirs.bytes)
    assert back._replace(time_us=None) == ours._replace(time_us=None)
    assert (back.time_us is None) == (time_us is None)
    assert time_us is None or abs(back.time_us - time_us) <= wire.TICK_US


@given(st.binary(max_size=300))
def test_both_find_the_same_frames_in_noise(noise):
    ours = [wire.encode(message) for message in wire.Frames().feed(noise)]
    assert ours == [message.bytes for message in HarpFramer.parse_bytes(noise)]


@pytest.fixture
def rig():
    dish, (emulator,) = bench(["harp"], ["culture.kind=poisson"])
    settings = dish.start([emulator])
    yield dish, settings["ports"][0]
    dish.close()
    assert dish.failure is None


def test_its_client_drives_our_device(rig):
    dish, port = rig
    with Device(PlainTransport(port)) as device:
        assert int(device.read(WhoAmI).payload) == 1216
        first, second = device.read(TimestampSeconds), device.read(TimestampSeconds)
        assert second.timestamp >= first.timestamp > 0
        assert int(device.write(OutputSet, 0b101).payload) == 0b101
        assert int(device.read(OutputState).payload) == 0b101
        assert wait_until(lambda: len(dish.delivered) == 1, 5.0)
        with pytest.raises(DeviceError):
            device.write(WhoAmI, 7)
    assert dish.delivered[0].pattern.channels == (0, 2)
