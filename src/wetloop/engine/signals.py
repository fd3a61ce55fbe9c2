"""Signals of a session's process: the first asks it to end; SIGTERM, or a second SIGINT, silences the rig at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wetloop.engine.words import SILENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    import numpy.typing as npt

STOPPING = b"\nstopping: stimulation goes off and the file is completed (again to stop at once)\n"


class StopSwitch(threading.Event):
    """Is set when the session is to end."""

    def __init__(self) -> None:
        super().__init__()
        self._control: npt.NDArray[Any] | None = None

    def attach(self, control: npt.NDArray[Any]) -> None:
        """Know the control words of a real-time session from now on."""
        self._control = control

    def silence(self) -> None:
        """Let the session's stimulator forward nothing more."""
        if self._control is not None:
            self._control[SILENCE] = 1


@contextmanager
def stop_on_signal() -> Iterator[StopSwitch]:
    """Give a switch that the first SIGINT or SIGTERM sets; the second interrupts at once.

    A thread silences the rig: Python runs a signal's handler only when the main thread comes out of its kernel.
    """
    stop = StopSwitch()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        os.write(2, STOPPING)

    with _heard_at_once(stop):
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _heard_at_once(stop: StopSwitch) -> Iterator[None]:
    """Have the numbers of signals written to a pipe, by the interpreter's own handler, and read by a thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    listener = threading.Thread(target=_listen, args=(reader, stop), name="signals", daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        listener.join()
        os.close(reader)


def _listen(reader: int, stop: StopSwitch) -> None:
    heard = 0
    while number := os.read(reader, 1):
        heard += number[0] in {signal.SIGINT, signal.SIGTERM}
        if heard > 1 or number[0] == signal.SIGTERM:
            stop.silence()
