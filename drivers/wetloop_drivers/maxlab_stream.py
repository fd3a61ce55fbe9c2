"""From what MaxLab Live publishes to blocks: the subscription, and what puts frames together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import zmq

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.core.types import Block, Signal
from wetloop.kernels.records import SPIKE
from wetloop_drivers.maxlab_wire import N_CHANNELS, parse_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records, RigInfo
    from wetloop_drivers.maxlab_wire import Frames

WAITING_FRAMES = 20_000
"""Frames that may wait to be read, one second: what comes on top is lost, and seen as a gap."""

SETTLE_S, FLUSH_S = 0.01, 2.0
"""Between two looks while old frames are thrown away, and how long that may take, s."""


class Subscription:
    """A subscriber that takes frames by the packet and notices a cut."""

    def __init__(self, address: str, frame_s: float) -> None:
        self._frame_s = frame_s
        self._context = zmq.Context()
        self._data = self._context.socket(zmq.SUB)
        self._data.setsockopt(zmq.RCVHWM, WAITING_FRAMES)
        self._data.setsockopt(zmq.SUBSCRIBE, b"")
        self._monitor = self._data.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._data.connect(address)
        self._poller = zmq.Poller()
        for socket in (self._data, self._monitor):
            self._poller.register(socket, zmq.POLLIN)

    def receive(self, most: int, timeout_s: float) -> list[list[bytes]]:
        """Return so many messages, or as many as come in time.

        Raises
        ------
        ConnectionError
            Once, when the publisher has gone and all that it sent was taken.
        """
        end_s, messages = time.monotonic() + timeout_s, list[list[bytes]]()
        while True:
            self._drain(messages, most)
            left_s = end_s - time.monotonic()
            if len(messages) == most or left_s <= 0:
                return messages
            if messages:
                wait_until(lambda: False, min(left_s, (most - len(messages)) * self._frame_s))
            elif not self._await_any(left_s):
                return messages

    def flush(self) -> None:
        """Throw away what waits here, on the way and at the sender, until frames come no faster than they are made."""
        end_s = time.monotonic() + FLUSH_S
        while (began_s := time.monotonic()) < end_s:
            wait_until(lambda: False, SETTLE_S)
            messages: list[list[bytes]] = []
            self._drain(messages, WAITING_FRAMES)
            if len(messages) * self._frame_s < 2 * (time.monotonic() - began_s):
                return

    def close(self) -> None:
        """Disconnect; may be called twice."""
        if not self._data.closed:
            self._data.disable_monitor()
        self._context.destroy(linger=0)

    def _drain(self, messages: list[list[bytes]], most: int) -> None:
        receive = self._data.recv_multipart
        try:
            while len(messages) < most:
                messages.append(receive(zmq.NOBLOCK))
        except zmq.Again:
            return

    def _await_any(self, timeout_s: float) -> bool:
        ready = dict(self._poller.poll(max(1, round(timeout_s * 1000))))
        if self._data not in ready and self._monitor in ready:
            self._monitor.recv_multipart()
            raise ConnectionError("the connection was cut")
        return self._data in ready


class Assembler:
    """Puts blocks together from frames.

    A frame that does not follow the one before is believed once the next one follows it: a damaged number costs a
    frame, a gap one frame more than was lost.

    Parameters
    ----------
    info
        Of the source.
    channels
        Channel of the stream of each electrode.
    well
        Whose spikes are wanted.
    record_bytes
        Size of a spike record.
    offset, steps
        A sample is (amplitude - offset) * steps.

    Attributes
    ----------
    strange_frames, strange_spikes
        What did not hold to the format or to the order and was left out.
    """

    def __init__(
        self, info: RigInfo, channels: Sequence[int], *, well: int, record_bytes: int, offset: float, steps: float
    ) -> None:
        self._packet, self._rate = info.packet_samples, info.sampling_frequency
        self._has_samples, self._gain_uv = info.signal is Signal.SAMPLES, info.gain_uv
        self._well, self._record_bytes, self._offset, self._steps = well, record_bytes, offset, steps
        self._channels = np.array(channels)
        self._index = np.full(N_CHANNELS, -1, np.int32)
        self._index[self._channels] = np.arange(len(channels))
        self._lsb_uv = float(info.gain_uv[0]) * steps
        self._next: int | None = None
        self._candidate, self._n_old = -2, 0
        self.strange_frames = self.strange_spikes = 0

    @property
    def wanted(self) -> int:
        """Frames up to the end of the packet, on a grid of whole packets."""
        return self._packet - (self._next or 0) % self._packet

    def take(self, messages: Sequence[Sequence[bytes]]) -> list[Block]:
        """Take in messages; return the blocks that they make.

        Raises
        ------
        RigError
            Where the frame number has started anew.
        """
        frames = parse_frames(messages, self._record_bytes, with_amplitudes=self._has_samples)
        self.strange_spikes += frames.strange_spikes
        keep = self._in_order(frames.numbers)
        self.strange_frames += frames.strange_frames + int((~keep).sum())
        numbers, samples = frames.numbers[keep], self._samples(frames.amplitudes[keep])
        spikes = self._spikes(frames, numbers)
        return list(self._blocks(numbers, samples, spikes))

    def _in_order(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        n = len(numbers)
        if n and self._next == numbers[0] and numbers[-1] - numbers[0] == n - 1 and (np.diff(numbers) == 1).all():
            self._next, self._n_old = int(numbers[-1]) + 1, 0
            return np.ones(n, bool)
        return np.array([self._is_next(int(number)) for number in numbers], bool)

    def _is_next(self, number: int) -> bool:
        follows, self._candidate = number == self._candidate + 1, number
        if self._next is not None and number < self._next:
            self._count_old(number)
            return False
        self._n_old = 0
        if number != self._next and not follows:
            return False
        self._next = number + 1
        return True

    def _count_old(self, number: int) -> None:
        """Count frames that have been before; a whole second of them is no repetition any more."""
        self._n_old += 1
        if self._n_old > self._rate:
            raise RigError(
                f"MaxLab's frame number went back from {self._next} to {number} and stays there: the server was "
                "started anew; start the session anew"
            )

    def _samples(self, amplitudes: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
        if not self._has_samples:
            return np.empty((len(amplitudes), len(self._channels)), np.int16)
        wanted = (amplitudes[:, self._channels] - np.float32(self._offset)) * np.float32(self._steps)
        limits = np.iinfo(np.int16)
        bits: npt.NDArray[np.int16] = np.clip(np.rint(wanted), limits.min, limits.max).astype(np.int16)
        return bits

    def _spikes(self, frames: Frames, numbers: npt.NDArray[np.int64]) -> Records:
        """Return spikes of the well on the wanted channels, known with the frame that told them."""
        told = frames.spikes
        if self._has_samples or not len(told):
            return np.empty(0, SPIKE)
        wanted = (
            (told["well"] == self._well) & (self._index[told["channel"]] >= 0) & np.isin(told["told_frame"], numbers)
        )
        told = told[wanted]
        spikes = np.zeros(len(told), SPIKE)
        spikes["known_sample"] = told["told_frame"]
        spikes["sample_index"] = np.minimum(told["frame"], told["told_frame"])
        spikes["channel_index"] = self._index[told["channel"]]
        spikes["amplitude_uv"] = told["amplitude"] * np.float32(self._lsb_uv)
        return spikes[np.lexsort((spikes["channel_index"], spikes["known_sample"]))]

    def _blocks(
        self, numbers: npt.NDArray[np.int64], samples: npt.NDArray[np.int16], spikes: Records
    ) -> Iterator[Block]:
        """Yield runs of frames, in pieces of at most a packet."""
        ends = [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)] if len(numbers) else []
        begin = 0
        for end in ends:
            for first in range(begin, end, self._packet):
                last = min(first + self._packet, end)
                start, stop = int(numbers[first]), int(numbers[last - 1]) + 1
                inside = slice(*np.searchsorted(spikes["known_sample"], (start, stop)))
                yield Block(start, stop - start, samples[first:last], spikes[inside])
            begin = end
