"""A bad cable: stands between a driver and what it talks to, and loses, delays, splits, repeats and spoils bytes.

What happens to a byte depends on the seed and on its place in the stream alone, not on how the network cut it: bytes
are judged in *cells* of a fixed size.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from wetloop.core.plugin import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

LOOK_S = 0.05
CHUNK_BYTES = 1 << 16
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: close without a word, whatever is still to be sent."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with one direction of a connection.

    Attributes
    ----------
    loss, duplicate, corrupt
        Chance of each cell to be left out, to come twice, or to come with one byte changed; tried in this order, at
        most one of them happens.
    split_bytes
        Largest piece that is sent at once; 0: as it comes.
    delay_ms
        Delay of what comes, ms; meanwhile more may come, which then goes with it.
    cell_bytes
        Size of a cell.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    split_bytes: int = 0
    delay_ms: float = 0.0
    cell_bytes: int = 1024


GOOD = Faults()


class Mangler:
    """Does to a stream of bytes what ``Faults`` says.

    Attributes
    ----------
    lost_cells, duplicated_cells, corrupted_cells
        How often it happened so far.
    """

    def __init__(self, faults: Faults, rng: np.random.Generator) -> None:
        self._faults, self._rng = faults, rng
        self._cell = bytearray()
        self._fate, self._spoilt = "", -1
        self.lost_cells = self.duplicated_cells = self.corrupted_cells = 0
        self._begin_cell()

    def feed(self, data: bytes) -> bytes:
        """Return what comes out of these bytes; nothing is held back but the second copy of a cell."""
        out = bytearray()
        while data:
            room = self._faults.cell_bytes - len(self._cell)
            part, data = data[:room], data[room:]
            out += self._pass(part)
            if len(self._cell) == self._faults.cell_bytes:
                out += bytes(self._cell) if self._fate == "duplicate" else b""
                self._begin_cell()
        return bytes(out)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Cut what is to be sent into pieces."""
        size = self._faults.split_bytes or max(1, len(data))
        for start in range(0, len(data), size):
            yield data[start : start + size]

    def _pass(self, part: bytes) -> bytes:
        start = len(self._cell)
        self._cell += part
        if self._fate == "loss":
            return b""
        if self._fate == "corrupt" and start <= self._spoilt < len(self._cell):
            spoilt = bytearray(part)
            spoilt[self._spoilt - start] ^= 0xFF
            return bytes(spoilt)
        return part

    def _begin_cell(self) -> None:
        self._cell.clear()
        faults, draw = self._faults, float(self._rng.random())
        self._spoilt = int(self._rng.integers(faults.cell_bytes))
        if draw < faults.loss:
            self._fate, self.lost_cells = "loss", self.lost_cells + 1
        elif draw < faults.loss + faults.duplicate:
            self._fate, self.duplicated_cells = "duplicate", self.duplicated_cells + 1
        elif draw < faults.loss + faults.duplicate + faults.corrupt:
            self._fate, self.corrupted_cells = "corrupt", self.corrupted_cells + 1
        else:
            self._fate = ""


class Proxy:
    """Forwards TCP connections to ``target``; a context, at whose end nothing listens any more.

    Parameters
    ----------
    target
        Host and port.
    seed
        Of what happens; each connection and direction draws for itself.
    down, up
        What is wrong on the way from the target to the client, and from the client to the target.

    Attributes
    ----------
    port
        Where to connect, on 127.0.0.1.
    """

    def __init__(self, target: tuple[str, int], seed: int = 1, down: Faults = GOOD, up: Faults = GOOD) -> None:
        self._target, self._seed, self._faults = target, seed, {"down": down, "up": up}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LOOK_S)
        self.port: int = self._listener.getsockname()[1]
        self._ended, self._stalled, self._severed = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="proxy", daemon=True)]
        self._connections = 0

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()
        self._abort()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End every connection at once and refuse new ones, until ``mend``."""
        self._severed.set()
        self._abort()

    def stall(self) -> None:
        """Say nothing any more, in either direction, as a pulled cable does, until ``mend``."""
        self._stalled.set()

    def mend(self) -> None:
        """Let connections through again; those that were cut stay cut."""
        self._severed.clear()
        self._stalled.clear()

    def _abort(self) -> None:
        with self._lock:
            for end in self._open:
                _drop(end)
            self._open.clear()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if self._severed.is_set():
                raise ConnectionRefusedError
            server = socket.create_connection(self._target, timeout=1.0)
        except OSError:
            _drop(client)
            return
        for end in (client, server):
            end.settimeout(LOOK_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open += [client, server]
        self._connections += 1
        for way, source, sink in (("down", server, client), ("up", client, server)):
            rng = seeded(self._seed, f"proxy {way} {self._connections}")
            worker = threading.Thread(
                target=self._relay, args=(source, sink, Mangler(self._faults[way], rng), way), daemon=True
            )
            self._threads.append(worker)
            worker.start()

    def _relay(self, source: socket.socket, sink: socket.socket, mangler: Mangler, way: str) -> None:
        delay_s = self._faults[way].delay_ms / 1000
        with suppress(OSError):
            while not self._ended.is_set():
                try:
                    data = source.recv(CHUNK_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    break
                self._ended.wait(delay_s)
                while self._stalled.is_set() and not self._ended.wait(LOOK_S):
                    pass
                self._send(sink, mangler, data)
        _drop(sink)

    def _send(self, sink: socket.socket, mangler: Mangler, data: bytes) -> None:
        for piece in mangler.pieces(mangler.feed(data)):
            sent = 0
            while sent < len(piece):
                with suppress(TimeoutError):
                    sent += sink.send(piece[sent:])
                if self._ended.is_set():
                    return


def _drop(end: socket.socket) -> None:
    """Close without a word."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        end.shutdown(socket.SHUT_RDWR)
    end.close()
