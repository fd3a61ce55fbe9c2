"""ZMQ sockets on which emulators listen."""

from __future__ import annotations

import zmq


def bound(context: zmq.Context[zmq.Socket[bytes]], kind: int, host: str, port: int) -> tuple[zmq.Socket[bytes], int]:
    """Return a socket that loses nothing for want of room, bound to a port, and that port; 0 takes any that is free."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.SNDHWM, 0)
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError:
        socket.close(linger=0)
        raise
    return socket, int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])
