"""Server ports with one client each, in one thread: what comes is handed on, what is to be sent never waits."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from wetloop_drivers.links import drop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

State = Literal["Disconnected", "Pending", "Connected"]
CHUNK_BYTES = 1 << 16
LOOK_S = 0.05
MOST_WAITING_BYTES = 1 << 26
"""A client that reads so slowly is let go."""


class Port:
    """A port that listens until a client has come, and no longer.

    Parameters
    ----------
    host, port
        Where; port 0 lets the system choose.
    answer
        Called with what a client says; returns what to say back.
    lasting
        Whether the port listens again by itself when its client has left.
    """

    def __init__(self, host: str, port: int, answer: Callable[[bytes], bytes], *, lasting: bool) -> None:
        self._host, self.port, self._answer, self._lasting = host, port, answer, lasting
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._waiting = bytearray()
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """Whether a client is there, awaited, or neither."""
        if self._client is not None:
            return "Connected"
        return "Disconnected" if self._listener is None else "Pending"

    def listen(self) -> None:
        """Await a client."""
        if self.state == "Disconnected":
            self._listener = socket.create_server((self._host, self.port))
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]

    def send(self, data: bytes) -> None:
        """Have data sent when the client takes it; without a client they are gone."""
        with self._lock:
            if self._client is not None:
                self._waiting += data

    def close(self) -> None:
        """Let go of the client without a word, and listen no more."""
        with self._lock:
            for link in (self._listener, self._client):
                if link is not None:
                    drop(link)
            self._listener = self._client = None
            self._waiting.clear()

    def register(self, selector: selectors.BaseSelector) -> None:
        """Name what to wait for."""
        link = self._client or self._listener
        if link is not None:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
            selector.register(link, events, self)

    def act(self, events: int) -> None:
        """Do what can be done now."""
        if self._client is None:
            self._accept()
            return
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            self._receive()

    def _accept(self) -> None:
        if self._listener is None:
            return
        with suppress(OSError):
            client, _ = self._listener.accept()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._listener.close()
            with self._lock:
                self._listener, self._client = None, client

    def _receive(self) -> None:
        said, client = b"", self._client
        if client is None:
            return
        with suppress(OSError):
            said = client.recv(CHUNK_BYTES)
        if said:
            self.send(self._answer(said))
        else:
            self._leave()

    def _flush(self) -> None:
        with self._lock:
            if self._client is None:
                return
            try:
                sent = self._client.send(self._waiting)
            except BlockingIOError:
                return
            except OSError:
                sent = MOST_WAITING_BYTES
            del self._waiting[:sent]
            slow = sent == MOST_WAITING_BYTES or len(self._waiting) > MOST_WAITING_BYTES
        if slow:
            self._leave()

    def _leave(self) -> None:
        self.close()
        if self._lasting:
            self.listen()


class Ports:
    """Serves some ports in a thread."""

    def __init__(self, ports: Sequence[Port]) -> None:
        self._ports, self._ended = tuple(ports), threading.Event()
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="ports", daemon=True)

    def open(self) -> None:
        """Serve."""
        self._thread.start()

    def ring(self) -> None:
        """Say that there is something to send."""
        with suppress(OSError):
            self._bell.send(b"!")

    def close(self) -> None:
        """Stop serving and close the ports; may be called twice."""
        self._ended.set()
        self.ring()
        if self._thread.is_alive():
            self._thread.join()
        for port in self._ports:
            port.close()
        self._bell.close()
        self._ear.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with selectors.DefaultSelector() as selector:
                selector.register(self._ear, selectors.EVENT_READ)
                for port in self._ports:
                    with suppress(ValueError, OSError):
                        port.register(selector)
                for key, events in selector.select(LOOK_S):
                    self._act(key, events)

    def _act(self, key: selectors.SelectorKey, events: int) -> None:
        if isinstance(key.data, Port):
            key.data.act(events)
        else:
            with suppress(OSError):
                self._ear.recv(CHUNK_BYTES)
