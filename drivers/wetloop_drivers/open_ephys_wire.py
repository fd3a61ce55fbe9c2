"""The wire of the Open Ephys GUI's ZMQ Interface and Network Events plug-ins: bytes to values and back, no sockets.

A ZMQ Interface message has two or three frames: an envelope, a JSON header, a payload. It holds one channel of one
buffer, one TTL event or one spike. What does not hold to the format gives ``None``, never a value.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

DATA, EVENT = b"DATA\0", b"EVENT\0"
TTL = 3
"""Type of a TTL event."""
MOST_SAMPLES = 1 << 20
"""Samples of a payload beyond which it is no buffer of the GUI."""
LAST_SAMPLE = 1 << 62
WORD = np.dtype([("line", "u1"), ("state", "u1"), ("word", "<u8")])
RAIL = 32767
_TRIGGER = re.compile(r"ACQBOARD TRIGGER (\d{1,4}) (\d{1,6})", re.IGNORECASE)
_TTL = re.compile(r"TTL Line=(\d{1,6}) State=([01])")


class DataMessage(NamedTuple):
    """One channel of one buffer; ``samples_uv`` has shape (n_samples,)."""

    number: int
    stream: str
    channel: int
    start_sample: int
    sampling_frequency: float
    samples_uv: Floats


class EventMessage(NamedTuple):
    """A TTL line (counted from 0) that has changed; ``word`` holds all lines as bits."""

    number: int
    stream: str
    sample_index: int
    line: int
    state: int
    word: int


class SpikeMessage(NamedTuple):
    """A spike of the GUI's Spike Detector; ``waveform_uv`` has shape (n_channels, n_samples)."""

    number: int
    stream: str
    electrode: str
    sample_index: int
    unit: int
    waveform_uv: Floats


Message: TypeAlias = DataMessage | EventMessage | SpikeMessage


def parse_message(frames: Sequence[bytes]) -> Message | None:
    """Return what a multipart message tells, or None where it is none of the plug-in's."""
    if not 2 <= len(frames) <= 3 or frames[0] not in {DATA, EVENT}:
        return None
    payload = frames[2] if len(frames) == 3 else b""
    try:
        header = json.loads(frames[1])
        return _PARSERS[header["type"]](header, payload)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _whole(fields: dict[str, Any], name: str, most: int = LAST_SAMPLE) -> int:
    value = fields[name]
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} is {value!r}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    if not isinstance(fields[name], str):
        raise TypeError(f"{name} is no text")
    return str(fields[name])


def _floats(payload: bytes, n: int) -> Floats:
    values = np.frombuffer(payload, "<f4")
    if values.size != n:
        raise ValueError(f"{values.size} values came, {n} were announced")
    return values


def _data(header: dict[str, Any], payload: bytes) -> DataMessage:
    content = header["content"]
    n_samples, rate = _whole(content, "num_samples", MOST_SAMPLES), float(content["sample_rate"])
    if n_samples == 0 or not (math.isfinite(rate) and rate > 0):
        raise ValueError("an empty buffer, or one without a rate")
    return DataMessage(
        _whole(header, "message_num"), _text(content, "stream"), _whole(content, "channel_num"),
        _whole(content, "sample_num"), rate, _floats(payload, n_samples),
    )  # fmt: skip


def _event(header: dict[str, Any], payload: bytes) -> EventMessage:
    content = header["content"]
    if len(payload) != WORD.itemsize or content["type"] != TTL:
        raise ValueError("no TTL event")
    line, state, word = np.frombuffer(payload, WORD)[0].item()
    return EventMessage(
        _whole(header, "message_num"), _text(content, "stream"), _whole(content, "sample_num"), line, state, word
    )


def _spike(header: dict[str, Any], payload: bytes) -> SpikeMessage:
    spike = header["spike"]
    shape = _whole(spike, "num_channels", 64), _whole(spike, "num_samples", 4096)
    waveform = _floats(payload, shape[0] * shape[1])
    if not waveform.size or not np.isfinite(waveform).all():
        raise ValueError("a spike without a waveform")
    return SpikeMessage(
        _whole(header, "message_num"), _text(spike, "stream"), _text(spike, "electrode"), _whole(spike, "sample_num"),
        _whole(spike, "sorted_id"), waveform.reshape(shape),
    )  # fmt: skip


_PARSERS: dict[str, Callable[[dict[str, Any], bytes], Message]] = {"data": _data, "event": _event, "spike": _spike}


def pack_data(message: DataMessage, name: str, timestamp_ms: int) -> list[bytes]:
    """Return the frames of a channel's buffer; ``name`` is the channel's, ``timestamp_ms`` counts since 1970."""
    payload = np.ascontiguousarray(message.samples_uv, "<f4").tobytes()
    content = {
        "stream": message.stream, "channel_num": message.channel, "channel_name": name,
        "num_samples": len(message.samples_uv), "sample_num": message.start_sample,
        "sample_rate": message.sampling_frequency,
    }  # fmt: skip
    return [DATA, _header(message.number, "data", timestamp_ms, content=content, data_size=len(payload)), payload]


def pack_event(message: EventMessage, timestamp_ms: int) -> list[bytes]:
    """Return the frames of a TTL event."""
    payload = np.array([(message.line, message.state, message.word)], WORD).tobytes()
    content = {"stream": message.stream, "source_node": 100, "type": TTL, "sample_num": message.sample_index}
    return [EVENT, _header(message.number, "event", timestamp_ms, content=content, data_size=len(payload)), payload]


def pack_spike(message: SpikeMessage, timestamp_ms: int) -> list[bytes]:
    """Return the frames of a spike."""
    n_channels, n_samples = message.waveform_uv.shape
    spike = {
        "stream": message.stream, "source_node": 101, "electrode": message.electrode,
        "sample_num": message.sample_index, "num_channels": n_channels, "num_samples": n_samples,
        "sorted_id": message.unit, "threshold": [0.0] * n_channels,
    }  # fmt: skip
    payload = np.ascontiguousarray(message.waveform_uv, "<f4").tobytes()
    return [EVENT, _header(message.number, "spike", timestamp_ms, spike=spike), payload]


def _header(number: int, kind: str, timestamp_ms: int, **more: Any) -> bytes:
    return json.dumps({"message_num": number, "type": kind, "timestamp": timestamp_ms, **more}).encode()


def heartbeat(application: str, uuid: str) -> bytes:
    """Return what a client of the ZMQ Interface sends every 2 s."""
    return json.dumps({"application": application, "uuid": uuid, "type": "heartbeat"}).encode()


def answer_to_client(request: bytes) -> bytes:
    """Return what the plug-in answers to a client's request."""
    try:
        kind = json.loads(request)["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return b"JSON message could not be read"
    return b"heartbeat received" if kind == "heartbeat" else b"message correctly parsed"


def trigger_text(line: int, width_ms: int) -> str:
    """Return the broadcast on which the acquisition board raises a digital output (1 to 8) for so long, ms."""
    return f"ACQBOARD TRIGGER {line} {width_ms}"


def parse_trigger(text: str) -> tuple[int, int] | None:
    """Return line and width, ms, of a broadcast that the acquisition board obeys: lines 1 to 8, 10 to 5000 ms."""
    found = _TRIGGER.fullmatch(text)
    if found is None:
        return None
    line, width_ms = int(found[1]), int(found[2])
    return (line, width_ms) if 1 <= line <= 8 and 10 <= width_ms <= 5000 else None


def ttl_text(line: int, state: int) -> bytes:
    """Return the request on which Network Events sets a line, 1 to 256."""
    return f"TTL Line={line} State={state}".encode()


def parse_ttl(request: bytes) -> tuple[int, int] | None:
    """Return line and state of a request to Network Events; None where it is another one."""
    found = _TTL.fullmatch(request.decode("utf-8", "replace").strip())
    return (int(found[1]), int(found[2])) if found else None


def to_bits(samples_uv: Floats, gain_uv: float) -> npt.NDArray[np.int16]:
    """Return microvolts as int16, shape (n_samples, n_channels), from (n_channels, n_samples).

    Rounded to the nearest bit: at most half of ``gain_uv`` is lost. What lies beyond the range stays at its rail, and
    so does what is no number.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        bits = samples_uv * np.float32(1 / gain_uv)
        np.rint(bits, out=bits)
        np.fmax(bits, np.float32(-RAIL), out=bits)
        np.fmin(bits, np.float32(RAIL), out=bits)
    return np.ascontiguousarray(bits.astype(np.int16).T)
