"""The way to the emulated server: one question, one answer."""

from __future__ import annotations

import threading
import weakref
from functools import cache
from pathlib import Path

import zmq

USUAL_ADDRESS = "tcp://127.0.0.1:7210"
ADDRESS_FILE = Path(__file__).with_name("address.txt")
"""Tells where the server listens, in the copies that an emulator makes of this package."""
TIMEOUT_MS = 2000


class Link:
    """A connection that is given up at the first silence, so that no old command arrives later."""

    def __init__(self, address: str) -> None:
        self._address, self._lock = address, threading.Lock()
        self._socket: zmq.Socket[bytes] | None = None
        self._is_lost = False

    def ask(self, command: str) -> str:
        """Send a command and return the answer; raise ``RuntimeError`` where that tells of an error, or none comes."""
        with self._lock:
            answer = self._exchange(command)
        if answer.startswith("Error"):
            raise RuntimeError(f"{command!r}: {answer}")
        return answer

    def _exchange(self, command: str) -> str:
        if self._is_lost:
            raise RuntimeError(f"the server at {self._address} was lost")
        try:
            self._socket = self._socket or self._connected()
            self._socket.send_string(command)
            return self._socket.recv_string()
        except zmq.ZMQError as error:
            self._is_lost = True
            if self._socket is not None:
                self._socket.close()
            raise RuntimeError(f"the server at {self._address} does not answer ({error})") from error

    def _connected(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        for option in (zmq.RCVTIMEO, zmq.SNDTIMEO):
            socket.setsockopt(option, TIMEOUT_MS)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.connect(self._address)
        weakref.finalize(self, socket.close)
        return socket


@cache
def the_link() -> Link:
    """Return the link of this process."""
    return Link(ADDRESS_FILE.read_text().strip() if ADDRESS_FILE.is_file() else USUAL_ADDRESS)


def ask(command: str) -> str:
    """Send a command over the link of this process."""
    return the_link().ask(command)
