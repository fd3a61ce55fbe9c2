"""A StimJim as its firmware behaves, on a pseudo-terminal, wired to the dish."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import EmulatorConfig
from wetloop_drivers import stimjim_wire as wire
from wetloop_drivers.emulators.serial_port import SerialEmulator
from wetloop_drivers.outputs import Wiring, one_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.core.protocols import Dish
    from wetloop_drivers.outputs import Outputs


GREETING = b"Booting StimJim on Teensy 3.5!\r\nInitializing triggers inputs...\r\nReady to go!\r\n\r\n\r\n"
NO_CONVERTER = 0.2
"""Currents are not rounded here, so the driver may ask for smaller ones than of a real device."""


class StimJimEmulatorConfig(EmulatorConfig):
    """A StimJim."""

    kind: Literal["stimjim"] = "stimjim"
    outputs: Wiring = one_each(wire.N_OUTPUTS)
    """Electrodes that each output feeds."""
    link: str = ""
    """Path of a symbolic link to the port; by default the system's name for it is all there is."""

    def build(self, dish: Dish) -> StimJimEmulator:
        return StimJimEmulator(self, dish)


class StimJimEmulator(SerialEmulator):
    """Device, wires and electrodes."""

    def __init__(self, config: StimJimEmulatorConfig, dish: Dish) -> None:
        self.firmware = Firmware(dish, config.outputs)
        known = {"outputs": dict(config.outputs), "max_converter_imbalance": NO_CONVERTER}
        super().__init__(lambda data: self.firmware.hear(data, time.monotonic()), known, config.link, GREETING)


class Firmware:
    """What the device does with lines of text.

    Attributes
    ----------
    trains
        Stored, by number.
    """

    def __init__(self, dish: Dish, outputs: Outputs) -> None:
        self._dish, self._outputs = dish, outputs
        self.trains = dict.fromkeys(range(wire.N_TRAINS), wire.Train())
        self._text = b""
        self._running: dict[str, tuple[wire.Train, float]] = {}
        self._acts: Mapping[str, Callable[[str, float], bytes]] = {
            "S": self._set,
            "T": self._start,
            "U": self._start,
            "M": lambda line, _: b"Set channel %d to mode %d\r\n" % _numbers(line, 2),
        }

    def hear(self, data: bytes, now_s: float) -> bytes:
        """Return what is printed after these bytes have come."""
        answer = self._ended(now_s)
        *lines, self._text = (self._text + data).split(b"\n")
        for raw in lines:
            line = raw.decode("ascii", "replace").removesuffix("\r")
            act = self._acts.get(line[:1])
            answer += act(line, now_s) if act is not None else b""
        return answer

    def _ended(self, now_s: float) -> bytes:
        """Return the summaries of the trains that are over."""
        over = [engine for engine, (_, end_s) in self._running.items() if now_s >= end_s]
        trains = [self._running.pop(engine)[0] for engine in over]
        return b"".join(wire.encode_summary(len(_pulse_starts(train)), train) for train in trains)

    def _set(self, line: str, _: float) -> bytes:
        found = wire.decode_set(line)
        number = -1 if found is None else found[0]
        if found is None or number not in self.trains:
            return b"Invalid PulseTrain index.\r\n"
        if found[1] is not None:
            self.trains[number] = found[1]._replace(stages=found[1].stages[: wire.MAX_STAGES])
        return wire.encode_dump(number, self.trains[number])

    def _start(self, line: str, now_s: float) -> bytes:
        engine, (number,) = line[0], _numbers(line, 1)
        if number >= wire.N_TRAINS:
            return b"Invalid PulseTrain index.\r\n"
        if number < 0:
            self._running.pop(engine, None)
            self._dish.silence()
            return f"Forcing {engine} train to stop\r\n".encode("ascii")
        train = self.trains[number]
        self._deliver(train)
        self._running[engine] = train, now_s + len(_pulse_starts(train)) * train.period_us * 1e-6
        return f"\r\nStarted {engine} train with parameters of PulseTrain {number}\r\n".encode("ascii")

    def _deliver(self, train: wire.Train) -> None:
        """Stimulate with every pulse of a train; outputs with the same pulse stimulate together."""
        pulses: dict[Pulse, list[int]] = {}
        for k, mode in enumerate(train.modes):
            pulse = _pulse(train, k)
            if mode <= wire.CURRENT and pulse is not None:
                pulses.setdefault(pulse, []).extend(self._outputs.get(k + 1, ()))
        for start_us in _pulse_starts(train):
            for pulse, electrodes in pulses.items():
                number = self._dish.load(Pattern(pulse, tuple(electrodes)))
                self._dish.stimulate(number, round(start_us * 1e-6 * self._dish.info.sampling_frequency))


def _pulse_starts(train: wire.Train) -> range:
    return range(0, train.duration_us, max(1, train.period_us))


def _pulse(train: wire.Train, output: int) -> Pulse | None:
    """Return the pulse of an output, if it is one of two phases; others the dish does not take."""
    steps = [(float(stage[output]), float(stage.duration_us)) for stage in train.stages]
    unit = "uA" if train.modes[output] == wire.CURRENT else "mV"
    gap = steps.pop(1)[1] if len(steps) == 3 and steps[1][0] == 0 else 0.0
    if len(steps) != 2 or not all(amplitude and width for amplitude, width in steps):
        return None
    (first, first_us), (second, second_us) = steps
    return Pulse(first, first_us, second, second_us, unit, gap)


def _numbers(line: str, n: int) -> tuple[int, ...]:
    """Return the first numbers after a command, 0 where there are none."""
    texts = [*line[1:].split(","), *[""] * n][:n]
    return tuple(int(text) if text.strip().lstrip("-").isdecimal() else 0 for text in texts)
