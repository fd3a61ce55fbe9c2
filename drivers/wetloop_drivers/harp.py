"""Harp devices over their USB serial line: digital outputs that fire stimulators, and inputs with the device's time.

A Harp device gives no voltages and no spikes: it cannot be a source. Each of its output lines is wired to a stimulator
that is set to one pulse, and a pattern is the lines that together deliver it. Every write is answered with the time at
which the line rose; where the stimulator's own sync output is wired to an input, its event tells when the pulse really
began: ``deliveries`` holds both, in us of the device's clock. An input can be an emergency stop (``stop_input``).

Registers are by default those of the Harp Behavior board. Protocol-tested against an emulator that the harp packages
drive and read; not yet hardware-tested.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from wetloop.core.errors import RigError
from wetloop.core.limits import BoundLimits, StimLimits
from wetloop.core.plugin import StimulatorConfig
from wetloop_drivers import harp_wire as wire
from wetloop_drivers.links import ReconnectConfig
from wetloop_drivers.outputs import LineConfig, beside, lines_for, told_pulse
from wetloop_drivers.redial import by_policy
from wetloop_drivers.serial_line import SerialLine, first_to_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import RigInfo
    from wetloop_drivers.redial import Redial

WHAT = "Harp device"
ANSWER_NS = 500_000_000
KEPT = 100_000
"""Deliveries that are remembered."""
SYNC_US = 10_000
"""An input that rises later after its line is not of its pulse."""
BEHAVIOR = 1216
INPUT_BYTES = 1
"""Size of the register of inputs."""


class HarpConfig(StimulatorConfig):
    """Digital outputs of a Harp device, before stimulators."""

    kind: Literal["harp"] = "harp"
    ports: tuple[str, ...] = ()
    """Serial ports to look at, such as /dev/ttyUSB0 or COM3; the first that answers as this device is taken. By default
    all ports of this computer, each of which is sent one frame."""
    who_am_i: int | None = Field(BEHAVIOR, ge=0, le=65_535)
    """Number of the kind of device; null: any."""
    lines: tuple[LineConfig, ...] = Field(min_length=1)
    """The lines in use."""
    unit: Literal["uA", "mV"] = "mV"
    """What the stimulators control: current or voltage."""
    set_register: int = Field(34, ge=32, le=255)
    """Register that raises lines."""
    clear_register: int = Field(35, ge=32, le=255)
    """Register that lowers lines; a line is lowered as soon as it was raised."""
    register_bytes: Literal[1, 2, 4] = 2
    """Size of both registers."""
    input_register: int = Field(32, ge=32, le=255)
    """Register whose events tell of the inputs."""
    sync_bit: int | None = Field(None, ge=0, le=31)
    """Bit of the input that the stimulators' sync output is wired to, if it is."""
    stop_input: int | None = Field(None, ge=0, le=31)
    """Bit of the input that an emergency stop is wired to, if one is; it must be released when a session begins."""
    stop_when: Literal["high", "low"] = "high"
    """Level of that input that stops; low suits a button that breaks a circuit, so that a broken wire stops too."""
    min_interval_ms: float = Field(4.0, ge=0, le=10_000)
    """Time that a stimulator needs from one pulse to the next, ms."""
    trigger_latency_ms: float = Field(1.0, ge=0, le=100)
    """From the command to the pulse, ms."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the line is lost. With a ``stop_input`` the session ends whatever is said here: a stop that
    cannot be read is taken as pressed."""
    limits: BoundLimits = StimLimits()
    """What the stimulators behind the lines can do."""

    @model_validator(mode="after")
    def _lines_fit(self) -> Self:
        bits = [line.bit for line in self.lines]
        if len(set(bits)) != len(bits):
            raise ValueError(f"lines name bits {bits}: each once")
        if max(bits) >= 8 * self.register_bytes:
            raise ValueError(f"bit {max(bits)} is not in a register of {self.register_bytes} bytes")
        if self.stop_input is not None and self.stop_input == self.sync_bit:
            raise ValueError(f"input {self.stop_input} is the sync of the stimulators: wire the stop to another one")
        return self

    def describe(self, rig: RigInfo) -> RigInfo:
        wiring = {line.bit: line.electrodes for line in self.lines}
        limits = rig.limits.tightened(self.limits, StimLimits(min_interval_ms=self.min_interval_ms))
        return replace(beside(rig, wiring, self.trigger_latency_ms), unit=self.unit, limits=limits, amplitude_step=0.0)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        delivers = "; ".join(
            f"bit {line.bit} {told_pulse(line.pulse(self.unit))} on {list(line.electrodes)}" for line in self.lines
        )
        return [
            f"pattern {name!r} is {told_pulse(pattern.pulse)} on {list(pattern.channels)}, but no lines deliver that: "
            f"{delivers}"
            for name, pattern in table
            if lines_for(pattern, self.lines) is None
        ]

    def build(self, info: RigInfo) -> Harp | Redial:
        _ = info
        return Harp(self) if self.stop_input is not None else by_policy(lambda: Harp(self), self.reconnect)


class Delivery(NamedTuple):
    """When lines rose, and when the stimulator's sync output did: us of the device's clock, None where it has not."""

    mask: int
    raised_us: int
    synced_us: int | None = None


class InputEvent(NamedTuple):
    """State of the inputs after a change, with the device's time, us."""

    time_us: int
    state: int


class Harp:
    """The device, once it is prepared.

    Attributes
    ----------
    deliveries, inputs
        What the device has told so far, the newest last.
    """

    def __init__(self, config: HarpConfig) -> None:
        self._config = config
        self.deliveries: deque[Delivery] = deque(maxlen=KEPT)
        self.inputs: deque[InputEvent] = deque(maxlen=KEPT)
        self._line: SerialLine | None = None
        self._frames = wire.Frames()
        self._masks: tuple[int, ...] = ()
        self._raise: tuple[bytes, ...] = ()
        self._raised: deque[tuple[int, int]] = deque()
        self._lowering = 0
        self._stopped = False

    def prepare(self, table: PatternTable) -> None:
        config = self._config
        if misfits := config.misfits(table):
            raise RigError(f"{WHAT} cannot deliver the patterns:\n  " + "\n  ".join(misfits))
        self._masks = tuple(
            sum(1 << bit for bit in lines_for(pattern, config.lines) or ()) for pattern in table.patterns
        )
        self._raise = tuple(
            wire.command(config.set_register, config.register_bytes, mask)
            + wire.command(config.clear_register, config.register_bytes, mask)
            for mask in self._masks
        )
        self._line = first_to_answer(config.ports, WHAT, self._greet)
        self._write(wire.OPERATION, 1, wire.ACTIVE)
        self.silence()
        if config.stop_input is not None:
            self._require_released()

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        line, now_ns = self._opened(), time.monotonic_ns()
        line.write(self._raise[pattern])
        self._raised.append((self._masks[pattern], now_ns))
        self._lowering += 1
        self._hear(line.read_waiting())
        if self._raised and now_ns - self._raised[0][1] > ANSWER_NS:
            raise line.unanswered("a line was not raised")

    def silence(self) -> None:
        size = self._config.register_bytes
        self._write(self._config.clear_register, size, (1 << 8 * size) - 1)

    def stop_asked(self) -> bool | None:
        if self._config.stop_input is None:
            return None
        self._hear(self._opened().read_waiting())
        return self._stopped

    def ping(self) -> None:
        """Ask what it is, and wait for the answer."""
        self._answer(self._opened(), wire.request(wire.WHO_AM_I, 2), wire.READ, wire.WHO_AM_I)

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            size = self._config.register_bytes
            with suppress(RigError):
                line.write(wire.command(self._config.clear_register, size, (1 << 8 * size) - 1))
                line.write(wire.command(wire.OPERATION, 1, 0))
            line.close()

    def _opened(self) -> SerialLine:
        if self._line is None:
            raise RigError(f"{WHAT} is not connected")
        return self._line

    def _greet(self, port: str) -> SerialLine:
        """Return the line to the device that is looked for."""
        line = SerialLine(port, WHAT, wire.BAUD)
        try:
            line.flush_stale()
            told = self._answer(line, wire.request(wire.WHO_AM_I, 2), wire.READ, wire.WHO_AM_I)
            _require_kind(told.value, self._config.who_am_i)
        except RigError:
            line.close()
            raise
        return line

    def _require_released(self) -> None:
        """Read the inputs, whose events tell of changes only."""
        register, line = self._config.input_register, self._opened()
        told = self._answer(line, wire.request(register, INPUT_BYTES), wire.READ, register)
        if told.refused or self._stops(told.value):
            why = "cannot be read" if told.refused else "asks to stop"
            raise RigError(f"{WHAT} at {line.port}: input {self._config.stop_input} (stop_input) {why}: release it")

    def _stops(self, state: int) -> bool:
        """Return whether this state of the inputs asks to stop."""
        config = self._config
        return config.stop_input is not None and bool(state >> config.stop_input & 1) == (config.stop_when == "high")

    def _write(self, register: int, size: int, value: int) -> None:
        """Write a register, and see that the device took it."""
        line = self._opened()
        told = self._answer(line, wire.command(register, size, value), wire.WRITE, register)
        if told.refused:
            raise RigError(f"{WHAT} at {line.port} refuses {value} in register {register}: is it the right device?")

    def _answer(self, line: SerialLine, frame: bytes, kind: int, address: int) -> wire.Message:
        """Send a frame, and wait for its own answer."""
        self._hear(line.read_waiting())
        line.write(frame)
        while True:
            for message in self._hear(line.read_exactly(1) + line.read_waiting()):
                if (message.kind, message.address) == (kind, address):
                    return message

    def _hear(self, came: bytes) -> list[wire.Message]:
        """Take in events and the answers to triggers; return the other answers."""
        return [message for message in self._frames.feed(came) if not self._take(message)]

    def _take(self, message: wire.Message) -> bool:
        known, config = (message.kind, message.address), self._config
        if known == (wire.WRITE, config.set_register) and self._raised:
            self._confirm(message)
        elif known == (wire.WRITE, config.clear_register) and self._lowering:
            self._lowering -= 1
        elif known == (wire.EVENT, config.input_register):
            self._sense(message)
        else:
            return False
        return True

    def _confirm(self, message: wire.Message) -> None:
        mask, _ = self._raised.popleft()
        if message.refused:
            raise RigError(f"{WHAT} refuses to raise lines {mask:#x}: is set_register {message.address} the right one?")
        if message.time_us is not None:
            self.deliveries.append(Delivery(mask, message.time_us))

    def _sense(self, message: wire.Message) -> None:
        """Note a change of the inputs; a sync that rises belongs to the newest lines raised before it."""
        self._stopped |= self._stops(message.value)
        if message.time_us is None:
            return
        before = self.inputs[-1].state if self.inputs else 0
        self.inputs.append(InputEvent(message.time_us, message.value))
        bit = 0 if self._config.sync_bit is None else 1 << self._config.sync_bit
        if message.value & ~before & bit and self.deliveries:
            last = self.deliveries[-1]
            if last.synced_us is None and 0 <= message.time_us - last.raised_us < SYNC_US:
                self.deliveries[-1] = last._replace(synced_us=message.time_us)


def _require_kind(told: int, wanted: int | None) -> None:
    if wanted is not None and told != wanted:
        raise RigError(f"is a Harp device of kind {told}, not {wanted} (stimulator.who_am_i)")
