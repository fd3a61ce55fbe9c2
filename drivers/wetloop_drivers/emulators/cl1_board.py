"""The command side of an emulated CL1: patterns, plans that run at a timestamp, and interruption.

As on the device, a pulse whose channel is busy waits, and a plan whose time has passed runs at once.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from wetloop.core.errors import ConfigError, RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop_drivers.cl1_wire import GROUNDED, N_CHANNELS, lead_samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.core.protocols import Dish

BUSY_MS = 5.0
"""A channel delivers at most 200 pulses a second."""


class _RefusedError(Exception):
    """A command that the device does not take."""

    def __init__(self, refused: str, why: str) -> None:
        super().__init__(why)
        self.refused = refused


class Board:
    """Carries out commands.

    Parameters
    ----------
    dish
        The culture.
    indices
        Channel index of the dish of each channel of the device, -1 for none, shape (64,).

    Attributes
    ----------
    heard
        What every command was to do, in order.
    late
        Pulses that came later than their plan was to.
    """

    def __init__(self, dish: Dish, indices: npt.NDArray[np.int32]) -> None:
        self._dish, self._indices = dish, indices
        self.heard: list[str] = []
        self.late = 0
        self._loaded: list[tuple[int, tuple[int, ...]]] = []
        self._lock = threading.Lock()
        self._pending: list[tuple[int, int]] = []
        self._newest_due, self._free_at = 0, [0] * N_CHANNELS

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out a command and return the answer."""
        try:
            command = json.loads(line)
            self.heard.append(command["do"])
            return self._carry_out(command)
        except _RefusedError as refusal:
            return {"refused": refusal.refused, "why": str(refusal)}
        except (RigError, ConfigError, ValueError, KeyError, IndexError, TypeError) as error:
            return {"refused": "odd", "why": f"{type(error).__name__}: {error}"}

    def delivered_before(self, sample: int) -> list[tuple[int, int]]:
        """Return, once, sample and channel of the pulses that have been delivered."""
        with self._lock:
            done = [pulse for pulse in self._pending if pulse[0] < sample]
            self._pending = [pulse for pulse in self._pending if pulse[0] >= sample]
            return done

    def _carry_out(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "describe":
                return {"frames_per_second": round(self._dish.info.sampling_frequency)}
            case "load":
                return {"number": self._load(command["channels"], command["phases"])}
            case "run":
                return {"timestamps": self._run(command["at"], command["numbers"])}
            case "interrupt":
                self._dish.silence()
                self._forget()
                return {}
        raise _RefusedError("odd", f"{command['do']} is no command")

    def _load(self, channels: list[int], phases: list[tuple[float, float]]) -> int:
        """Load a pulse of two phases; grounded channels are left out without a word, as the device does."""
        (first_us, first_ua), (second_us, second_ua) = phases
        driven = tuple(c for c in channels if c not in GROUNDED)
        inside = tuple(int(self._indices[c]) for c in driven if self._indices[c] >= 0)
        number = -1
        if inside:
            pulse = Pulse(first_ua, first_us, second_ua, second_us, "uA")
            number = self._dish.load(Pattern(pulse, inside))
        self._loaded.append((number, driven))
        return len(self._loaded) - 1

    def _run(self, at: int | None, numbers: list[int]) -> list[int]:
        """Deliver pulses after the lead time; return their samples."""
        due = (at or self._newest_due) + lead_samples(self._dish.info.sampling_frequency)
        if due < self._newest_due:
            raise _RefusedError("order", f"{at} lies before {self._newest_due}, which is planned already")
        self._newest_due = due
        delivered = [self._deliver(*self._loaded[number], due) for number in numbers]
        self.late += 0 if at is None else sum(sample > due for sample in delivered)
        return delivered

    def _deliver(self, number: int, channels: tuple[int, ...], due: int) -> int:
        """Deliver a pulse when its channels are free; return its sample."""
        sample = max(due, *(self._free_at[channel] for channel in channels)) if channels else due
        if number >= 0:
            sample = self._dish.stimulate_at(number, sample)
        with self._lock:
            self._pending += [(sample, channel) for channel in channels]
        for channel in channels:
            self._free_at[channel] = sample + round(BUSY_MS * self._dish.info.sampling_frequency / 1000)
        return sample

    def _forget(self) -> None:
        self._newest_due, self._free_at = 0, [0] * N_CHANNELS
        with self._lock:
            self._pending.clear()
