"""A culture on the bench: a simulated rig at the host's pace, that emulators record from and stimulate."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from wetloop.core.clock import WallPace
from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, StimGuard
from wetloop.core.limits import StimLimits
from wetloop.core.protocols import Source, Stimulator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wetloop.core.guard import Pulse
    from wetloop.core.protocols import Emulator
    from wetloop.core.types import RigInfo


MISSED_US = 50_000
"""Behind by so much, the dish is late for good, us."""


@runtime_checkable
class _Simulated(Source, Stimulator, Protocol):
    """A source that is its own stimulator."""


class Delivered(NamedTuple):
    """A pulse that reached the culture."""

    sample_index: int
    pattern: Pattern


class BenchDish:
    """A culture that is shared by the emulators around it, in one thread of its own.

    Every vendor's stimulator has limits of its own and the guard has checked the pulse before: the dish takes all.

    Parameters
    ----------
    culture
        A simulated rig.

    Attributes
    ----------
    info
        The culture's array.
    delivered
        What was stimulated, in order of sample: the truth that tests compare with.
    failure
        What the culture or an emulator has failed of.
    """

    def __init__(self, culture: Source) -> None:
        if not isinstance(culture, _Simulated):
            raise RigError(f"{culture.info.name} cannot be stimulated: put a simulated culture into the dish")
        self._culture: _Simulated = culture
        self.info: RigInfo = culture.info
        self.delivered: list[Delivered] = []
        self.failure: BaseException | None = None
        self._patterns: list[Pattern] = []
        self._emulators: tuple[Emulator, ...] = ()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._next_sample = 0

    def load(self, pattern: Pattern) -> int:
        own = replace(pattern, pulse=_in_unit(pattern.pulse, self.info))
        with self._lock:
            if own not in self._patterns:
                self._patterns.append(own)
                guard = StimGuard(replace(self.info, limits=StimLimits(), amplitude_step=0.0, max_patterns=1 << 16))
                self._culture.prepare(guard.prepare({str(k): p for k, p in enumerate(self._patterns)}))
            return self._patterns.index(own)

    def stimulate(self, number: int, delay_samples: int = 0) -> int:
        with self._lock:
            return self._stimulate(number, self._earliest + delay_samples)

    def stimulate_at(self, number: int, at_sample: int) -> int:
        with self._lock:
            return self._stimulate(number, max(at_sample, self._earliest))

    def silence(self) -> None:
        with self._lock:
            self._culture.silence()
            self.delivered = [pulse for pulse in self.delivered if pulse.sample_index < self._next_sample]

    def start(self, emulators: Sequence[Emulator]) -> Mapping[str, Any]:
        """Open the emulators and let the culture live; return the settings of all their drivers.

        The culture's first packet, for which kernels may have to be compiled, comes before, and is seen by nobody.
        """
        self._emulators = tuple(emulators)
        settings: dict[str, Any] = {}
        self._culture.open()
        self._culture.read()
        try:
            for emulator in self._emulators:
                settings |= emulator.open()
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._live, name="dish", daemon=True)
        self._thread.start()
        return settings

    def close(self) -> None:
        """End the culture's life and close the emulators; may be called twice."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for emulator in self._emulators:
            emulator.close()
        self._culture.close()

    @property
    def _earliest(self) -> int:
        """The first sample at which a pulse can still be delivered."""
        return self._next_sample + self.info.frame_samples

    def _stimulate(self, number: int, at_sample: int) -> int:
        self._culture.trigger(number, at_sample)
        self.delivered.append(Delivered(at_sample, self._patterns[number]))
        return at_sample

    def _live(self) -> None:
        """Let the culture live; what a starved computer misses is not made up for, as no rig could."""
        rate_hz = self.info.sampling_frequency * (1 + self.info.clock_drift_ppm * 1e-6)
        pace = WallPace(rate_hz)
        try:
            while not self._ended.is_set():
                with self._lock:
                    block = self._culture.read()
                    self._next_sample = block.start_sample + block.n_samples
                if pace.wait(self._next_sample) > MISSED_US:
                    pace = WallPace(rate_hz)
                    pace.wait(self._next_sample)
                for emulator in self._emulators:
                    emulator.deliver(block)
        except EOFError:
            return
        except BaseException as error:  # noqa: BLE001  (whatever it is, the bench must hear of it)
            self.failure = error


def _in_unit(pulse: Pulse, info: RigInfo) -> Pulse:
    """Return a pulse in the culture's unit, current and voltage being tied by the access resistance."""
    if pulse.unit == info.unit:
        return pulse
    scale = info.access_resistance_kohm if pulse.unit == "uA" else 1 / info.access_resistance_kohm
    return replace(
        pulse,
        first_amplitude=pulse.first_amplitude * scale,
        second_amplitude=pulse.second_amplitude * scale,
        unit=info.unit,
    )
