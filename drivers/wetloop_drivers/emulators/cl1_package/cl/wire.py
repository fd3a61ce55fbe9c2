"""Messages between the stand-in and the emulated device: what the device sends, and how it is told apart."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("<II")
"""Of a message: what it is, and the bytes that follow."""
PACKET, ANSWER = 1, 2
BEGIN = struct.Struct("<qiiii")
"""Of a packet: its first timestamp, and how many frames it covers, frames it holds (or none), spikes and stims."""
N_CHANNELS = 64
FRAME_BYTES = 2 * N_CHANNELS
SPIKE = np.dtype([("timestamp", "<i8"), ("channel", "<i4"), ("amplitude_uv", "<f4")])
STIM = np.dtype([("timestamp", "<i8"), ("channel", "<i4"), ("reserved", "<i4")])


def pack(what: int, body: bytes) -> bytes:
    """Return a message."""
    return HEADER.pack(what, len(body)) + body


def split(waiting: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole messages from what has come."""
    while len(waiting) >= HEADER.size:
        what, size = HEADER.unpack_from(waiting)
        end = HEADER.size + size
        if len(waiting) < end:
            return
        yield what, bytes(waiting[HEADER.size : end])
        del waiting[:end]
