"""The way to the emulated device: packets come by themselves, commands are answered."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections import deque
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .wire import ANSWER, BEGIN, FRAME_BYTES, N_CHANNELS, SPIKE, STIM, split

USUAL_ADDRESS = "127.0.0.1:7064"
ADDRESS_FILE = Path(__file__).with_name("address.txt")
"""Tells where the device listens, in the copies that an emulator makes of this package."""
TIMEOUT_S = 2.0
HISTORY_S = 5.0
CHUNK_BYTES = 1 << 16


class Packet(NamedTuple):
    """What happened in some frames; ``stop`` is the first timestamp after them."""

    start: int
    stop: int
    frames: np.ndarray[Any, np.dtype[np.int16]]
    spikes: np.ndarray[Any, np.dtype[np.void]]
    stims: np.ndarray[Any, np.dtype[np.void]]


class Link:
    """A connection, and what came over it in the last seconds."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._packets: deque[Packet] = deque()
        self._news, self._asking = threading.Condition(), threading.Lock()
        self._is_lost, self._rate = False, 0
        self._thread = threading.Thread(target=self._receive, name="cl", daemon=True)
        self._thread.start()
        self._rate = int(self.ask({"do": "describe"})["frames_per_second"])

    @property
    def frames_per_second(self) -> int:
        """What the device is set to."""
        return self._rate

    @property
    def timestamp(self) -> int:
        """The first timestamp of which nothing has come."""
        with self._news:
            if self._is_lost or not self._news.wait_for(lambda: self._packets or self._is_lost, TIMEOUT_S):
                raise RuntimeError("the device does not answer any more")
            return self._newest()

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command and return the answer."""
        with self._asking:
            if self._is_lost:
                raise RuntimeError("the connection to the device was lost")
            self._socket.sendall(json.dumps(command).encode() + b"\n")
            try:
                return self._answers.get(timeout=TIMEOUT_S)
            except queue.Empty:
                raise RuntimeError(f"the device did not answer {command['do']}") from None

    def window(self, start: int, stop: int) -> list[Packet]:
        """Wait for frames, and return the packets that hold them."""
        with self._news:
            if not self._news.wait_for(lambda: self._newest() >= stop or self._is_lost, 30.0):
                raise TimeoutError(f"timestamp {stop} has not come")
            if self._is_lost:
                raise RuntimeError("the connection to the device was lost")
            if start < self._packets[0].start:
                raise ValueError(f"timestamp {start} is older than what is kept")
            recent = takewhile(lambda packet: packet.stop > start, reversed(self._packets))
            return [packet for packet in recent if packet.start < stop][::-1]

    def close(self) -> None:
        """Let go of the device."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _newest(self) -> int:
        return self._packets[-1].stop if self._packets else -1

    def _receive(self) -> None:
        waiting = bytearray()
        with suppress(OSError):
            while said := self._socket.recv(CHUNK_BYTES):
                waiting += said
                for what, body in split(waiting):
                    if what == ANSWER:
                        self._answers.put(json.loads(body))
                    else:
                        self._keep(unpacked(body))
        with self._news:
            self._is_lost = True
            self._news.notify_all()

    def _keep(self, packet: Packet) -> None:
        with self._news:
            self._packets.append(packet)
            while packet.stop - self._packets[0].start > HISTORY_S * max(self._rate, 1000):
                self._packets.popleft()
            self._news.notify_all()


def unpacked(body: bytes) -> Packet:
    """Return a packet; frames that were not sent are 0."""
    start, n_frames, n_sent, n_spikes, n_stims = BEGIN.unpack_from(body)
    spikes_at = BEGIN.size + n_sent * FRAME_BYTES
    sent = np.frombuffer(body, "<i2", n_sent * N_CHANNELS, BEGIN.size).reshape(n_sent, N_CHANNELS)
    frames = sent if n_sent else np.zeros((n_frames, N_CHANNELS), np.int16)
    spikes = np.frombuffer(body, SPIKE, n_spikes, spikes_at)
    stims = np.frombuffer(body, STIM, n_stims, spikes_at + n_spikes * SPIKE.itemsize)
    return Packet(start, start + n_frames, frames, spikes, stims)


def the_link() -> Link:
    """Return a new link to the device that this copy of the package belongs to."""
    address = ADDRESS_FILE.read_text().strip() if ADDRESS_FILE.is_file() else USUAL_ADDRESS
    host, _, port = address.rpartition(":")
    return Link(host, int(port))
