"""From what the Open Ephys GUI publishes to blocks: the subscription, and what puts messages together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import numpy as np
import zmq

from wetloop.core.errors import RigError
from wetloop.core.types import Block
from wetloop.kernels.records import SPIKE
from wetloop_drivers.open_ephys_falcon import parse_falcon
from wetloop_drivers.open_ephys_wire import DataMessage, SpikeMessage, heartbeat, parse_message, to_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records, RigInfo

HEARTBEAT_S = 2.0
NO_SPIKES = np.empty(0, SPIKE)


class Subscription:
    """A subscriber that notices a cut, and sends the heartbeats that the ZMQ Interface wants.

    Parameters
    ----------
    address
        Of the publisher.
    control_address
        Where heartbeats go; none for the Falcon Output.
    """

    def __init__(self, address: str, control_address: str | None = None) -> None:
        self._context = zmq.Context()
        self._data = self._context.socket(zmq.SUB)
        self._data.setsockopt(zmq.RCVHWM, 0)
        self._data.setsockopt(zmq.SUBSCRIBE, b"")
        self._monitor = self._data.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._data.connect(address)
        self._control: zmq.Socket[bytes] | None = None
        self._poller = zmq.Poller()
        for socket in (self._data, self._monitor):
            self._poller.register(socket, zmq.POLLIN)
        if control_address is not None:
            self._control = self._context.socket(zmq.REQ)
            self._control.setsockopt(zmq.REQ_RELAXED, 1)
            self._control.setsockopt(zmq.REQ_CORRELATE, 1)
            self._control.connect(control_address)
        self._uuid, self._beat_at_s = str(uuid4()), 0.0

    def receive(self, timeout_s: float) -> list[bytes] | None:
        """Return the frames of the next message, None where none comes in time.

        Raises
        ------
        ConnectionError
            Once, when the publisher has gone.
        """
        self._keep_alive()
        ready = dict(self._poller.poll(round(max(0.0, timeout_s) * 1000)))
        if self._data in ready:
            return self._data.recv_multipart()
        if self._monitor in ready:
            self._monitor.recv_multipart()
            raise ConnectionError("the connection was cut")
        return None

    def drain(self) -> None:
        """Forget what has come and was not received."""
        while self._data.poll(0):
            self._data.recv_multipart()

    def close(self) -> None:
        """Disconnect; may be called twice."""
        if not self._data.closed:
            self._data.disable_monitor()
        self._context.destroy(linger=0)

    def _keep_alive(self) -> None:
        now_s = time.monotonic()
        if self._control is None or now_s - self._beat_at_s < HEARTBEAT_S:
            return
        self._beat_at_s = now_s
        try:
            while self._control.poll(0):
                self._control.recv(zmq.NOBLOCK)
            self._control.send(heartbeat("wetloop", self._uuid), zmq.NOBLOCK)
        except zmq.Again:
            return


class Assembler(Protocol):
    """Puts blocks together from messages."""

    def take(self, frames: Sequence[bytes]) -> Block | None:
        """Take in a message; return the block that it completes, if any."""


class _Stream:
    """What assemblers have in common: which stream, its rate, where it goes on, and what went missing.

    Attributes
    ----------
    strange_messages
        Messages that did not hold to the format.
    lost_messages
        Numbers that were left out between messages.
    """

    def __init__(self, info: RigInfo, channels: Sequence[int], stream: str | None) -> None:
        self.strange_messages = self.lost_messages = 0
        self._info, self._stream, self._next = info, stream, -1
        self._columns = {channel: column for column, channel in enumerate(channels)}
        self._number: int | None = None

    def _is_ours(self, stream: str, sampling_frequency: float) -> bool:
        self._stream = stream if self._stream is None else self._stream
        if stream != self._stream:
            return False
        if sampling_frequency != self._info.sampling_frequency:
            raise RigError(
                f"stream {stream!r} of the Open Ephys GUI has {sampling_frequency:g} Hz, but "
                f"source.sampling_frequency_hz is {self._info.sampling_frequency:g}: set it to that of the stream"
            )
        return True

    def _count(self, number: int) -> None:
        if self._number is not None and number > self._number + 1:
            self.lost_messages += number - self._number - 1
        self._number = number

    def _block(self, start: int, n: int, samples: npt.NDArray[np.int16], spikes: Records) -> Block:
        lost = start - self._next if self._next >= 0 else 0
        self._next = start + n
        return Block(start, n, samples, spikes, lost)


class FalconBlocks(_Stream):
    """Each message of the Falcon Output is a block."""

    def take(self, frames: Sequence[bytes]) -> Block | None:
        message = parse_falcon(frames[0]) if len(frames) == 1 else None
        if message is None:
            self.strange_messages += 1
            return None
        if not self._is_ours(message.stream, message.sampling_frequency):
            return None
        self._count(message.number)
        if message.start_sample < self._next:
            return None
        wanted, (n_channels, n_samples) = list(self._columns), message.samples_uv.shape
        if max(wanted) >= n_channels:
            raise RigError(
                f"stream {message.stream!r} of the Open Ephys GUI has {n_channels} channels, but source.channels asks "
                f"for channel {max(wanted)}: give the channels that there are, counted from 0"
            )
        rows = message.samples_uv if wanted == list(range(n_channels)) else message.samples_uv[wanted]
        bits = to_bits(rows, float(self._info.gain_uv[0]))
        return self._block(message.start_sample, n_samples, bits, NO_SPIKES)


class ChannelBlocks(_Stream):
    """The messages of the ZMQ Interface for all channels of one buffer are a block; one that misses any is lost."""

    def __init__(self, info: RigInfo, channels: Sequence[int], stream: str | None) -> None:
        super().__init__(info, channels, stream)
        self._start, self._rows = -1, np.empty((0, 0), np.float32)
        self._missing: set[int] = set()

    def take(self, frames: Sequence[bytes]) -> Block | None:
        message = parse_message(frames)
        if message is None:
            self.strange_messages += 1
            return None
        self._count(message.number)
        if not isinstance(message, DataMessage) or not self._is_ours(message.stream, message.sampling_frequency):
            return None
        return self._add(message) if message.channel in self._columns else None

    def _add(self, message: DataMessage) -> Block | None:
        if message.start_sample < max(self._next, self._start):
            return None
        if message.start_sample > self._start:
            self._start, self._missing = message.start_sample, set(self._columns)
            self._rows = np.empty((len(self._columns), len(message.samples_uv)), np.float32)
        if message.channel not in self._missing or len(message.samples_uv) != self._rows.shape[1]:
            self.strange_messages += 1
            return None
        self._rows[self._columns[message.channel]] = message.samples_uv
        self._missing.discard(message.channel)
        if self._missing:
            return None
        bits = to_bits(self._rows, float(self._info.gain_uv[0]))
        return self._block(self._start, len(bits), bits, NO_SPIKES)


class SpikeBlocks(_Stream):
    """Spikes of the GUI's Spike Detector; the buffers of one channel tell how far the GUI is.

    A spike becomes known with the buffer before which it was sent: at its peak, or where the peak lies in an earlier
    buffer, at the buffer's first sample. ``electrodes`` maps names to channel indices.
    """

    def __init__(self, info: RigInfo, clock: int, stream: str | None, electrodes: Mapping[str, int]) -> None:
        super().__init__(info, (clock,), stream)
        self._electrodes = electrodes
        self._waiting: list[tuple[int, int, int, float, int]] = []
        self._silence = np.empty((0, info.n_channels), np.int16)

    def take(self, frames: Sequence[bytes]) -> Block | None:
        message = parse_message(frames)
        if message is None:
            self.strange_messages += 1
            return None
        self._count(message.number)
        if isinstance(message, SpikeMessage):
            self._add(message)
        return self._close(message) if isinstance(message, DataMessage) and self._is_due(message) else None

    def _is_due(self, message: DataMessage) -> bool:
        if message.channel not in self._columns or not self._is_ours(message.stream, message.sampling_frequency):
            return False
        return message.start_sample >= self._next

    def _add(self, message: SpikeMessage) -> None:
        if self._stream not in {None, message.stream}:
            return
        if message.electrode not in self._electrodes:
            raise RigError(
                f"the Open Ephys GUI sends spikes of electrode {message.electrode!r}, which source.electrodes does not "
                "name: give the names of the Spike Detector's electrodes, in the order of the array"
            )
        channel, peak_uv = self._electrodes[message.electrode], float(message.waveform_uv.min())
        self._waiting.append((message.sample_index, message.sample_index, channel, peak_uv, 0))

    def _close(self, message: DataMessage) -> Block:
        """Return the block with the spikes that have come; those a second or more away from it are none."""
        start, n = message.start_sample, len(message.samples_uv)
        spikes, far = np.array(self._waiting, SPIKE), round(self._info.sampling_frequency)
        peak = spikes["sample_index"]
        near = (peak >= start - far) & (peak < start + n)
        later = (peak >= start + n) & (peak < start + n + far)
        self.strange_messages += int((~near & ~later).sum())
        self._waiting = [spike.item() for spike in spikes[later]]
        spikes = spikes[near]
        spikes["known_sample"] = np.maximum(spikes["sample_index"], start)
        order = np.lexsort((spikes["channel_index"], spikes["known_sample"]))
        return self._block(start, n, self._silence, spikes[order])


def pieces(block: Block, most: int) -> Iterator[Block]:
    """Yield a block in pieces of at most so many samples."""
    end = block.start_sample + block.n_samples
    for start in range(block.start_sample, end, most):
        stop = min(start + most, end)
        first, last = np.searchsorted(block.spikes["known_sample"], (start, stop))
        samples = block.samples[start - block.start_sample : stop - block.start_sample]
        lost = block.lost_samples if start == block.start_sample else 0
        yield Block(start, stop - start, samples, block.spikes[first:last], lost)
