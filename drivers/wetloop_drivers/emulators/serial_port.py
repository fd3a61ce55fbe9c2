"""A device's end of a serial line: a pseudo-terminal, which programs open like any serial port."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.core.types import Block

LOOK_S = 0.05


class DevicePort:
    """Hands what comes to a function, in a thread of its own.

    Parameters
    ----------
    heard
        Called with what has come, or with nothing when nothing has come for a while; returns the answer.
    link
        Path of a symbolic link to the port, for a name that stays; empty: none.
    """

    def __init__(self, heard: Callable[[bytes], bytes], link: str = "") -> None:
        self._heard, self._link = heard, Path(link) if link else None
        self._near, self._far = pty.openpty()
        self._waking, self._wake = os.pipe()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.name = os.ttyname(self._far)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.name)
            self.name = str(self._link)
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="serial port", daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        """Send unasked; what does not fit, because nobody reads, is lost."""
        with suppress(BlockingIOError):
            os.write(self._near, data)

    def close(self) -> None:
        """Pull the plug; may be called twice."""
        if not self._open:
            return
        self._open = False
        os.write(self._wake, b"\0")
        self._thread.join()
        for descriptor in (self._near, self._far, self._waking, self._wake):
            os.close(descriptor)
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _serve(self) -> None:
        while self._open:
            ready, _, _ = select.select((self._near, self._waking), (), (), LOOK_S)
            if self._waking in ready:
                return
            if answer := self._heard(os.read(self._near, 4096) if ready else b""):
                self.say(answer)


class SerialEmulator:
    """An emulator whose only wire is one serial line: it records nothing.

    Parameters
    ----------
    heard
        The device: takes what comes, returns what it answers.
    settings
        What a driver must know beside the port.
    link
        Path of a symbolic link to the port; empty: none.
    greeting
        What the device says when it is plugged in.
    """

    def __init__(
        self, heard: Callable[[bytes], bytes], settings: Mapping[str, Any], link: str, greeting: bytes = b""
    ) -> None:
        self._heard, self._settings, self._link, self._greeting = heard, settings, link, greeting
        self._port: DevicePort | None = None

    def open(self) -> Mapping[str, Any]:
        self._port = DevicePort(self._heard, self._link)
        self._port.say(self._greeting)
        return {"ports": [self._port.name], **self._settings}

    def say(self, data: bytes) -> None:
        """Send unasked, while the port is open."""
        if self._port is not None:
            self._port.say(data)

    def deliver(self, block: Block) -> None:
        _ = block

    def unplug(self) -> None:
        self.close()

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
