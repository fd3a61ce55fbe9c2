"""What TCP drivers share: connecting with a deadline, letting go without a word, and what to do after a cut cable."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from wetloop.core.errors import RigError

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: what is not yet sent is never sent."""


class ReconnectConfig(BaseModel):
    """What to do when a connection is lost during a session."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    policy: Literal["stop", "reconnect"] = "stop"
    """End the session, or try again; meanwhile nothing is stimulated, and what is missed is a gap in the recording."""
    patience_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    """How long to try again, s; then the session ends."""


def connect(host: str, port: int, what: str, timeout_s: float = 3.0) -> socket.socket:
    """Return a connection that sends small messages at once.

    Raises
    ------
    RigError
        Naming what was to be reached, where, and what to look at.
    """
    try:
        link = socket.create_connection((host, port), timeout=timeout_s)
    except OSError as error:
        raise RigError(
            f"{what} does not answer at {host}:{port} ({error}): start it, or correct host and port"
        ) from error
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def drop(link: socket.socket) -> None:
    """Close at once; what is still to be sent is thrown away, so that no command arrives later."""
    with suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    link.close()
