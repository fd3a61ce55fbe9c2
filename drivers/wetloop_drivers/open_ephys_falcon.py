"""The wire of the Open Ephys GUI's Falcon Output plug-in: one flatbuffer for all channels of a buffer.

A flatbuffer is read where it lies: a vtable tells where in the table each field is, and a vector is a view. Every
offset is checked against the end of the frame.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SAMPLES, EVENT_CODES, STREAM, N_CHANNELS, N_SAMPLES, SAMPLE_NUM, TIMESTAMP, MESSAGE_ID, SAMPLE_RATE = range(4, 22, 2)
"""Places of the fields of ContinuousData in a vtable."""
MOST_CHANNELS, MOST_SAMPLES = 1 << 14, 1 << 20
LAST_SAMPLE = 1 << 62
_TABLE_AT = 32
_HEAD = struct.Struct("<I11H6xi3IQdQ3I")
_FIRST_VECTOR_AT = _HEAD.size
_FIELDS_AT = (4, 8, 12, 40, 44, 16, 24, 32, 48)
"""Where our own tables hold the fields, in the order of the vtable."""


class FalconMessage(NamedTuple):
    """All channels of one buffer: ``samples_uv`` of shape (n_channels, n_samples), a view of the frame.

    ``event_codes`` has the lines 0 to 15 as bits, one word per sample, or nothing.
    """

    number: int
    stream: str
    start_sample: int
    sampling_frequency: int
    timestamp_s: float
    samples_uv: npt.NDArray[np.float32]
    event_codes: npt.NDArray[np.uint16]


def parse_falcon(frame: bytes) -> FalconMessage | None:
    """Return the buffer that a frame holds, or None where it is not one."""
    try:
        return _message(_Table(frame))
    except (ValueError, struct.error):
        return None


class _Table:
    """The root table of a flatbuffer."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._at = self._read("<I", 0)
        self._vtable = self._at - self._read("<i", self._at)
        self._vtable_bytes = self._read("<H", self._vtable)

    def _read(self, form: str, at: int) -> Any:
        if at < 0:
            raise ValueError("an offset leads before the frame")
        return struct.unpack_from(form, self._frame, at)[0]

    def _field(self, place: int) -> int | None:
        """Return where a field is, None where it has been left out because it has its default."""
        offset = self._read("<H", self._vtable + place) if place < self._vtable_bytes else 0
        return self._at + offset if offset else None

    def scalar(self, place: int, form: str) -> Any:
        at = self._field(place)
        return 0 if at is None else self._read(form, at)

    def vector(self, place: int, dtype: str) -> npt.NDArray[Any]:
        at = self._field(place)
        if at is None:
            return np.empty(0, dtype)
        start = at + self._read("<I", at)
        return np.frombuffer(self._frame, dtype, self._read("<I", start), start + 4)


def _message(table: _Table) -> FalconMessage:
    n_channels, n_samples = table.scalar(N_CHANNELS, "<I"), table.scalar(N_SAMPLES, "<I")
    rate, start = table.scalar(SAMPLE_RATE, "<I"), table.scalar(SAMPLE_NUM, "<Q")
    samples, codes = table.vector(SAMPLES, "<f4"), table.vector(EVENT_CODES, "<u2")
    if not (
        0 < n_channels <= MOST_CHANNELS and 0 < n_samples <= MOST_SAMPLES and samples.size == n_channels * n_samples
    ):
        raise ValueError(f"{samples.size} samples for {n_channels} channels x {n_samples}")
    if not rate or start > LAST_SAMPLE or codes.size not in {0, n_samples}:
        raise ValueError("no rate, no sample number, or another number of event codes")
    timestamp_s = table.scalar(TIMESTAMP, "<d")
    return FalconMessage(
        table.scalar(MESSAGE_ID, "<Q"), table.vector(STREAM, "u1").tobytes().decode("utf-8"), start, rate,
        timestamp_s if math.isfinite(timestamp_s) else 0.0, samples.reshape(n_channels, n_samples), codes,
    )  # fmt: skip


def pack_falcon(message: FalconMessage) -> bytes:
    """Return the frame of a buffer."""
    n_channels, n_samples = message.samples_uv.shape
    samples, codes = message.samples_uv.astype("<f4").tobytes(), message.event_codes.astype("<u2").tobytes()
    codes_at = _FIRST_VECTOR_AT + 4 + len(samples)
    stream_at = codes_at + 4 + -(-len(codes) // 4) * 4
    starts = zip((_FIRST_VECTOR_AT, codes_at, stream_at), _FIELDS_AT, strict=False)
    head = _HEAD.pack(
        _TABLE_AT, 4 + 2 * len(_FIELDS_AT), _HEAD.size - _TABLE_AT, *_FIELDS_AT, _TABLE_AT - 4,
        *(start - _TABLE_AT - field for start, field in starts),
        message.start_sample, message.timestamp_s, message.number, n_channels, n_samples, message.sampling_frequency,
    )  # fmt: skip
    stream = message.stream.encode()
    vectors = ((n_channels * n_samples, samples), (len(message.event_codes), codes), (len(stream), stream + b"\0"))
    return head + b"".join(_vector(n, content) for n, content in vectors)


def _vector(n: int, content: bytes) -> bytes:
    return struct.pack("<I", n) + content + bytes(-len(content) % 4)
