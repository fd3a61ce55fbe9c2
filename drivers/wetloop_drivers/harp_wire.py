"""Frames of the Harp protocol: registers that are read and written, and events, all with the device's own time.

A frame is type, length, address, port, payload type, the time where it has one (seconds, and steps of 32 us), payload
and the sum of all bytes before it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

READ, WRITE, EVENT = 1, 2, 3
ERROR = 0x08
"""Bit of the type that says that a request was refused."""
TIMED, IS_FLOAT, IS_SIGNED = 0x10, 0x40, 0x80
"""Bits of the payload type; its low bits are the size of an element in bytes."""
SIZES = (1, 2, 4, 8)
DEVICE_PORT = 0xFF
TICK_US = 32
BAUD = 1_000_000
WHO_AM_I, TIME_SECONDS, TIME_TICKS, OPERATION, RESET, NAME = 0, 8, 9, 10, 11, 12
ACTIVE = 1
"""Mode of ``OPERATION`` in which events are sent."""
SMALLEST, LARGEST = 6, 257
_HEAD, _TIME = 5, 6


class Message(NamedTuple):
    """One frame; ``time_us`` is on the device's clock, None where the frame holds no time."""

    kind: int
    address: int
    payload_type: int
    payload: bytes = b""
    time_us: int | None = None
    port: int = DEVICE_PORT
    refused: bool = False

    @property
    def value(self) -> int:
        """First element of the payload, as an unsigned number; 0 without a payload."""
        return int.from_bytes(self.payload[: self.payload_type], "little")


def request(address: int, size: int) -> bytes:
    """Return the frame that reads a register of unsigned elements of so many bytes."""
    return encode(Message(READ, address, size))


def command(address: int, size: int, value: int) -> bytes:
    """Return the frame that writes one unsigned number."""
    return encode(Message(WRITE, address, size, value.to_bytes(size, "little")))


def encode(message: Message) -> bytes:
    """Return the bytes of a frame; times are cut to the 32 us that a frame holds."""
    stamp = b""
    if message.time_us is not None:
        seconds, rest_us = divmod(message.time_us, 1_000_000)
        stamp = struct.pack("<IH", seconds, rest_us // TICK_US)
    kind = message.kind | (ERROR if message.refused else 0)
    payload_type = message.payload_type | (TIMED if stamp else 0)
    body = bytes((message.address, message.port, payload_type)) + stamp + message.payload
    frame = bytes((kind, len(body) + 1)) + body
    return frame + bytes((sum(frame) & 0xFF,))


def decode(frame: bytes) -> Message | None:
    """Return the message of a whole frame; None where it is none."""
    if not SMALLEST <= len(frame) <= LARGEST or frame[1] + 2 != len(frame) or sum(frame[:-1]) & 0xFF != frame[-1]:
        return None
    kind, refused, timed = frame[0] & ~ERROR, bool(frame[0] & ERROR), bool(frame[4] & TIMED)
    payload_type = frame[4] & ~TIMED
    begin = _HEAD + (_TIME if timed else 0)
    if kind not in (READ, WRITE, EVENT) or not _is_type(payload_type) or len(frame) <= begin:
        return None
    time_us = None
    if timed:
        seconds, ticks = struct.unpack_from("<IH", frame, _HEAD)
        time_us = seconds * 1_000_000 + ticks * TICK_US
    return Message(kind, frame[2], payload_type, frame[begin:-1], time_us, frame[3], refused)


def _is_type(payload_type: int) -> bool:
    size, kind = payload_type & 0x0F, payload_type & ~0x0F
    return size in SIZES and (kind in (0, IS_SIGNED) or (kind == IS_FLOAT and size == 4))


class Frames:
    """Takes bytes as they come, and gives whole messages; after bytes that are no frame it looks for the next one."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.skipped = 0
        """Bytes so far that belonged to no frame."""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are whole now."""
        self._pending += data
        found, at = [], 0
        while len(self._pending) - at >= 2:
            end = at + 2 + self._pending[at + 1]
            may_begin = self._pending[at] & ~ERROR in (READ, WRITE, EVENT) and end - at >= SMALLEST
            if may_begin and end > len(self._pending):
                break
            message = decode(bytes(self._pending[at:end])) if may_begin else None
            if message is None:
                at, self.skipped = at + 1, self.skipped + 1
            else:
                found.append(message)
                at = end
        del self._pending[:at]
        return found
