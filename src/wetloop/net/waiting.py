"""Wait for messages without becoming deaf to signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zmq

LOOK_MS = 200
"""So late at most is what a signal asks for, ms."""


def received(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the next message, however long it takes to come; SIGTERM and Ctrl-C end the wait in any case.

    A signal that comes after Python has looked for signals and before libzmq waits does not end that wait.
    """
    while not socket.poll(LOOK_MS):
        pass
    return socket.recv_multipart()
