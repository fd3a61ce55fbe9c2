"""A stimulator on a serial line that is looked for again after its line was lost, prepared anew, and left silent.

While it is away every pulse is refused, and so counted as not delivered. It fits devices that deliver nothing but the
single pulses that they are told to: one that cannot be reached is silent.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.protocols import Answers, Stimulator
from wetloop_drivers.serial_line import LostLineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from wetloop.core.guard import PatternTable
    from wetloop_drivers.links import ReconnectConfig

RETRY_S = 0.2
"""Between two attempts, s."""


class SerialStimulator(Stimulator, Answers, Protocol):
    """What can be looked for again: ``prepare`` finds the device, greets it, loads it and reads back."""


Device = TypeVar("Device", bound=SerialStimulator)


def by_policy(make: Callable[[], Device], reconnect: ReconnectConfig) -> Device | Redial:
    """Return the stimulator that ``make`` returns, or one that is looked for again when its line is lost."""
    return make() if reconnect.policy == "stop" else Redial(make, reconnect.patience_s)


class _Absence(NamedTuple):
    """How and when a line was lost, and what will have come of the search."""

    lost: LostLineError
    since_s: float
    sought: Future[SerialStimulator]


class Redial:
    """A device, or the one that is found in its place.

    Parameters
    ----------
    make
        Returns the stimulator, not yet connected.
    patience_s
        How long to look for it, s.
    """

    _table: PatternTable

    def __init__(self, make: Callable[[], SerialStimulator], patience_s: float) -> None:
        self._make, self._patience_s = make, patience_s
        self._device: SerialStimulator | None = None
        self._absence: _Absence | None = None
        self._closed = threading.Event()
        self._searcher = ThreadPoolExecutor(1, "redial")

    def prepare(self, table: PatternTable) -> None:
        self._table = table
        self._device = self._prepared()

    def trigger(self, pattern: int, at_sample: int) -> None:
        """Deliver, where the device is there; the pulse at which its line is found lost counts as left out."""
        self._ask(lambda device: device.trigger(pattern, at_sample))

    def silence(self) -> None:
        """Silence the device; one that is away is silent, and is silenced before it is used again."""
        if self._found() is not None:
            with suppress(LatePulseError):
                self._ask(lambda device: device.silence())

    def ping(self) -> None:
        """Ask the device what its driver asks."""
        self._ask(lambda device: device.ping())

    def close(self) -> None:
        """End the search, and let the device go.

        An attempt that is under way meets its deadline first: a message that breaks off may leave a device deaf.
        """
        self._closed.set()
        self._searcher.shutdown()
        device = self._found()
        self._device = self._absence = None
        if device is not None:
            device.close()

    def _ask(self, act: Callable[[SerialStimulator], None]) -> None:
        """Do this with the device; look for it where its line is lost."""
        device = self._present()
        try:
            act(device)
        except LostLineError as lost:
            self._device = None
            self._absence = _Absence(lost, time.monotonic(), self._searcher.submit(self._search, device, lost))
            raise LatePulseError(f"left out: {lost}") from lost

    def _found(self) -> SerialStimulator | None:
        """Return the device; None while it is away."""
        absence = self._absence
        if absence is not None and absence.sought.done() and absence.sought.exception() is None:
            self._device, self._absence = absence.sought.result(), None
        return self._device

    def _present(self) -> SerialStimulator:
        """Return the device; raise where it is away, and why where it was looked for in vain."""
        device, absence = self._found(), self._absence
        if device is not None:
            return device
        if absence is None:
            raise RigError("the stimulator is not connected")
        if absence.sought.done():
            absence.sought.result()
        away_s = time.monotonic() - absence.since_s
        raise LatePulseError(f"left out: away for {away_s:.1f} s; {absence.lost}")

    def _search(self, gone: SerialStimulator, lost: LostLineError) -> SerialStimulator:
        """Return the device once it is back, prepared with the same table and silent."""
        gone.close()
        refusal: RigError = lost
        end_s = time.monotonic() + self._patience_s
        while time.monotonic() < end_s and not self._closed.wait(RETRY_S):
            try:
                return self._prepared()
            except RigError as error:
                refusal = error
        raise RigError(f"{lost}. It did not come back within {self._patience_s:g} s: {refusal}") from refusal

    def _prepared(self) -> SerialStimulator:
        device = self._make()
        try:
            device.prepare(self._table)
            device.silence()
        except BaseException:
            device.close()
            raise
        return device
