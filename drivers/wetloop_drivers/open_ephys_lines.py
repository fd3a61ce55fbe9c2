"""The two ways to raise a TTL line of the Open Ephys GUI for a while."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import zmq

from wetloop.core.errors import LatePulseError, RigError
from wetloop_drivers.open_ephys_wire import trigger_text, ttl_text

if TYPE_CHECKING:
    from wetloop_drivers.open_ephys_gui import Gui


class Lines(Protocol):
    """TTL lines, by number from 1."""

    def pulse(self, line: int) -> None:
        """Raise a line now; it falls by itself. Raises ``LatePulseError`` where it has not fallen yet."""

    def close(self) -> None:
        """Leave every line low; may be called twice."""


class BoardLines:
    """Outputs of the acquisition board, which keeps the time of ``ttl_ms`` itself."""

    def __init__(self, gui: Gui, ttl_ms: int) -> None:
        self._gui, self._ttl_ms = gui, ttl_ms
        self._up_until_s: dict[int, float] = {}
        gui.connect_ahead()

    def pulse(self, line: int) -> None:
        if time.monotonic() < self._up_until_s.get(line, 0.0):
            raise LatePulseError(f"TTL line {line} has not fallen yet")
        self._gui.broadcast(trigger_text(line, self._ttl_ms))
        self._up_until_s[line] = time.monotonic() + self._ttl_ms / 1000
        self._gui.connect_ahead()

    def close(self) -> None:
        """Do nothing: the board lowers its lines."""


class EventLines:
    """Lines of the Network Events plug-in, which knows levels only: a thread lowers them again."""

    def __init__(self, address: str, ttl_ms: int, timeout_s: float) -> None:
        self._address, self._ttl_s = address, ttl_ms / 1000
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        for option in (zmq.RCVTIMEO, zmq.SNDTIMEO):
            self._socket.setsockopt(option, round(timeout_s * 1000))
        self._socket.connect(address)
        self._asking, self._changed = threading.Lock(), threading.Condition()
        self._up: deque[tuple[float, int]] = deque()
        self._ended = False
        self._failure: RigError | None = None
        self._thread = threading.Thread(target=self._lower, name="ttl", daemon=True)
        try:
            self._ask(b"IsAcquiring", b"1")
        except RigError:
            self._context.destroy(linger=0)
            raise
        self._thread.start()

    def pulse(self, line: int) -> None:
        if self._failure is not None:
            raise self._failure
        with self._changed:
            if any(line == up for _, up in self._up):
                raise LatePulseError(f"TTL line {line} has not fallen yet")
        self._set(line, 1)
        with self._changed:
            self._up.append((time.monotonic() + self._ttl_s, line))
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()
        with suppress(RigError):
            while self._up and self._failure is None:
                self._set(self._up.popleft()[1], 0)
        self._context.destroy(linger=0)

    def _lower(self) -> None:
        while (line := self._next_down()) is not None:
            try:
                self._set(line, 0)
            except RigError as error:
                self._failure = error
                return
            with self._changed:
                self._up.popleft()

    def _next_down(self) -> int | None:
        """Wait for the next line to be lowered; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._up)
            if not self._ended:
                self._changed.wait_for(lambda: self._ended, self._up[0][0] - time.monotonic())
            return None if self._ended else self._up[0][1]

    def _set(self, line: int, state: int) -> None:
        self._ask(ttl_text(line, state), b"TTLHandled")

    def _ask(self, request: bytes, expected: bytes) -> None:
        with self._asking:
            try:
                self._socket.send(request)
                answer = self._socket.recv()
            except zmq.ZMQError as error:
                raise RigError(
                    f"the Network Events plug-in does not answer at {self._address} ({error}): put it into the signal "
                    "chain of the Open Ephys GUI, and compare the port (its default is the ZMQ Interface's as well)"
                ) from error
        if not answer.startswith(expected):
            raise RigError(f"the Network Events plug-in at {self._address} answers {answer!r} to {request.decode()!r}")
