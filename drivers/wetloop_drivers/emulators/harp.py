"""A Harp device with digital outputs and inputs, on a pseudo-terminal: a stimulator behind each line, and the dish.

Registers are those of the Behavior board. The stimulators' sync output is wired to an input: it rises with each pulse.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wetloop.core.guard import Pattern
from wetloop.core.plugin import EmulatorConfig
from wetloop_drivers import harp_wire as wire
from wetloop_drivers.emulators.serial_port import SerialEmulator
from wetloop_drivers.outputs import LineConfig, one_each

if TYPE_CHECKING:
    from wetloop.core.guard import Pulse
    from wetloop.core.protocols import Dish

INPUTS, RAISE, LOWER, TOGGLE, OUTPUTS = 32, 34, 35, 36, 37
SYNC_US = 100
"""From a line to the sync of its stimulator."""
LINES = tuple(
    LineConfig(bit=number - 1, electrodes=fed, amplitude=100.0, phase_us=200.0) for number, fed in one_each(4).items()
)


class HarpEmulatorConfig(EmulatorConfig):
    """A Behavior board."""

    kind: Literal["harp"] = "harp"
    who_am_i: int = Field(1216, ge=0, le=65_535)
    """Number of the kind of device."""
    lines: tuple[LineConfig, ...] = LINES
    """Stimulators behind the lines, and their electrodes."""
    unit: Literal["uA", "mV"] = "mV"
    """What the stimulators control."""
    sync_bit: int = Field(0, ge=0, le=7)
    """Input that the stimulators' sync is wired to."""
    stop_bit: int = Field(1, ge=0, le=7)
    """Input that an emergency stop is wired to."""
    link: str = ""
    """Path of a symbolic link to the port; by default the system's name for it is all there is."""

    def build(self, dish: Dish) -> HarpEmulator:
        return HarpEmulator(self, dish)


class HarpEmulator(SerialEmulator):
    """Device, wires, stimulators and electrodes."""

    def __init__(self, config: HarpEmulatorConfig, dish: Dish) -> None:
        self.board = Board(config, dish)
        lines = [line.model_dump() for line in config.lines]
        known = {"lines": lines, "unit": config.unit, "sync_bit": config.sync_bit, "stop_input": config.stop_bit}
        super().__init__(lambda data: self.board.hear(data, time.monotonic_ns() // 1000), known, config.link)

    def press_stop(self) -> None:
        """Raise the input of the emergency stop."""
        self.say(self.board.press_stop(time.monotonic_ns() // 1000))


class Board:
    """What the device does with frames; its clock is the host's monotonic one.

    Attributes
    ----------
    registers
        Value of each register, and the size of its elements in bytes.
    """

    def __init__(self, config: HarpEmulatorConfig, dish: Dish) -> None:
        self._config, self._dish = config, dish
        self._frames = wire.Frames()
        self.registers: dict[int, tuple[int, int]] = {
            wire.WHO_AM_I: (config.who_am_i, 2), wire.TIME_SECONDS: (0, 4), wire.TIME_TICKS: (0, 2),
            wire.OPERATION: (0, 1), INPUTS: (0, 1), RAISE: (0, 2), LOWER: (0, 2), TOGGLE: (0, 2), OUTPUTS: (0, 2),
        }  # fmt: skip

    def hear(self, data: bytes, now_us: int) -> bytes:
        """Return the answers to what has come, and the events that follow from it."""
        return b"".join(self._obey(message, now_us) for message in self._frames.feed(data))

    def press_stop(self, now_us: int) -> bytes:
        """Raise the input of the emergency stop; return the event that tells."""
        self.registers[INPUTS] = 1 << self._config.stop_bit, 1
        return self._event(0, now_us) if self._tells else b""

    @property
    def _tells(self) -> bool:
        """Whether events are sent."""
        return bool(self.registers[wire.OPERATION][0] & 3)

    def _event(self, sync: int, at_us: int) -> bytes:
        """Return the event of the inputs with the sync at this level."""
        state = self.registers[INPUTS][0] | sync << self._config.sync_bit
        return wire.encode(wire.Message(wire.EVENT, INPUTS, 1, bytes((state,)), at_us))

    def _obey(self, message: wire.Message, now_us: int) -> bytes:
        self.registers[wire.TIME_SECONDS] = now_us // 1_000_000, 4
        self.registers[wire.TIME_TICKS] = now_us % 1_000_000 // wire.TICK_US, 2
        known = self.registers.get(message.address)
        if message.kind == wire.EVENT:
            return b""
        read_only = message.kind == wire.WRITE and message.address == wire.WHO_AM_I
        if known is None or message.payload_type != known[1] or read_only:
            return wire.encode(message._replace(refused=True, time_us=now_us))
        value, size = known
        events = b""
        if message.kind == wire.WRITE:
            value = message.value
            self.registers[message.address] = value, size
            events = self._drive(message.address, value, now_us)
        answer = wire.Message(message.kind, message.address, size, value.to_bytes(size, "little"), now_us)
        return wire.encode(answer) + events

    def _drive(self, register: int, mask: int, now_us: int) -> bytes:
        """Change the lines; return the events of the sync input."""
        before, size = self.registers[OUTPUTS]
        after = {RAISE: before | mask, LOWER: before & ~mask, TOGGLE: before ^ mask, OUTPUTS: mask}.get(
            register, before
        )
        self.registers[OUTPUTS] = after, size
        if not self._fire(after & ~before) or not self._tells:
            return b""
        pulse_us = now_us + SYNC_US
        return self._event(1, pulse_us) + self._event(0, pulse_us + SYNC_US)

    def _fire(self, risen: int) -> bool:
        """Stimulate with the stimulators behind these lines; return whether there are any."""
        pulses: dict[Pulse, list[int]] = {}
        for line in self._config.lines:
            if risen >> line.bit & 1:
                pulses.setdefault(line.pulse(self._config.unit), []).extend(line.electrodes)
        for pulse, electrodes in pulses.items():
            pattern = Pattern(pulse, tuple(electrodes))
            self._dish.stimulate(self._dish.load(pattern))
        return bool(pulses)
