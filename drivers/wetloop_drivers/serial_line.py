"""A serial line to one device: opened for this program alone, with a deadline on every answer.

Devices are told apart by what they answer, never by the names of their ports. A line that breaks is told with
``LostLineError``, naming the port; it is not opened again, since a device that was unplugged has forgotten its
settings: ``redial`` makes a new one and prepares the device anew.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from wetloop.core.errors import RigError
from wetloop.core.extras import from_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Device = TypeVar("Device")
EXTRA = "serial"
POLL_S = 0.02


class LostLineError(RigError):
    """The port of a device is gone, as when it is unplugged."""


class SerialLine:
    """An open port.

    Parameters
    ----------
    port
        Its name, such as /dev/ttyACM0 or COM3.
    what
        The device, for messages.
    baud
        Bits per second; devices that are their own USB port do not care.
    timeout_s
        How long an answer may take, s.

    Raises
    ------
    RigError
        Where the port cannot be opened, or another program has it.
    """

    def __init__(self, port: str, what: str, baud: int = 115_200, timeout_s: float = 1.0) -> None:
        self.port, self._what, self._timeout_s = port, what, timeout_s
        serial = from_extra("serial", EXTRA)
        try:
            self._serial = serial.Serial(port, baud, timeout=POLL_S, write_timeout=timeout_s, exclusive=True)
        except (OSError, ValueError) as error:
            raise RigError(f"{port} cannot be opened ({error}): is it in use by another program?") from error
        self._lines = bytearray()

    def write(self, data: bytes) -> None:
        """Send, as one piece."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise self._lost(error) from error

    def read_waiting(self) -> bytes:
        """Return what has come, without waiting."""
        kept, self._lines = bytes(self._lines), bytearray()
        return kept + self._waiting()

    def read_exactly(self, n_bytes: int) -> bytes:
        """Wait for an answer of so many bytes."""
        answer, end_s = bytearray(), time.monotonic() + self._timeout_s
        while len(answer) < n_bytes:
            answer += self._read(n_bytes - len(answer))
            if len(answer) < n_bytes and time.monotonic() > end_s:
                raise self.unanswered(f"{len(answer)} of {n_bytes} bytes came")
        return bytes(answer)

    def read_lines(self, is_last: Callable[[str], bool]) -> list[str]:
        """Wait for lines until one that is the last, asked of each in turn; those without text are left out."""
        lines: list[str] = []
        end_s = time.monotonic() + self._timeout_s
        while True:
            line, newline, rest = self._lines.partition(b"\n")
            if newline:
                self._lines = rest
                lines.append(line.decode("ascii", "replace").removesuffix("\r"))
                if is_last(lines[-1]):
                    return [text for text in lines if text.strip()]
                continue
            self._lines += self._read_some()
            if time.monotonic() > end_s:
                raise self.unanswered(f"{len(lines)} lines came")

    def flush_stale(self) -> None:
        """Throw away what was not asked for, until nothing comes for a moment."""
        self._lines.clear()
        end_s = time.monotonic() + self._timeout_s
        while self._read_some() and time.monotonic() < end_s:
            pass

    def close(self) -> None:
        """Let the port go; may be called twice."""
        with suppress(OSError):
            self._serial.close()

    def unanswered(self, came: str) -> RigError:
        """Return the error of an answer that did not come."""
        return RigError(
            f"{self._what} at {self.port} did not answer within {self._timeout_s:g} s ({came}): "
            "is it switched on, and is this its port?"
        )

    def _read(self, n_bytes: int) -> bytes:
        """Return up to so many bytes, after a moment if they do not come."""
        try:
            return bytes(self._serial.read(n_bytes))
        except OSError as error:
            raise self._lost(error) from error

    def _waiting(self) -> bytes:
        try:
            waiting = self._serial.in_waiting
            return bytes(self._serial.read(waiting)) if waiting else b""
        except OSError as error:
            raise self._lost(error) from error

    def _read_some(self) -> bytes:
        """Return what has come; wait a moment where nothing has."""
        return self._waiting() or self._read(1)

    def _lost(self, error: OSError) -> LostLineError:
        return LostLineError(
            f"{self._what} at {self.port} is gone ({error}): plug it in again, and start a new session"
        )


def first_to_answer(ports: Sequence[str], what: str, greet: Callable[[str], Device]) -> Device:
    """Return the first device that answers as it should; ask all ports of this computer where none is named.

    Raises
    ------
    RigError
        With what came from each port, where none is right.
    """
    refusals = []
    for port in ports or computer_ports():
        try:
            return greet(port)
        except RigError as error:
            refusals.append(f"{port}: {error}")
    asked = "\n  ".join(refusals) or "this computer has no serial port"
    raise RigError(f"no {what} answers: connect it, or name its port in stimulator.ports\n  {asked}")


def computer_ports() -> list[str]:
    """Return the names of all serial ports."""
    return [found.device for found in from_extra("serial.tools.list_ports", EXTRA).comports()]
