"""A Pulse Pal 2 as its firmware behaves, on a pseudo-terminal, wired to the dish.

Not played: custom trains, bursts, and pulses of one phase, which the dish does not take.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import EmulatorConfig
from wetloop_drivers import pulsepal_wire as wire
from wetloop_drivers.emulators.serial_port import SerialEmulator
from wetloop_drivers.outputs import Wiring, one_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Records
    from wetloop_drivers.outputs import Outputs

BYTE_TIMEOUT_S = 0.5
"""How long the firmware waits for each byte of a message that has begun."""


class PulsePalEmulatorConfig(EmulatorConfig):
    """A Pulse Pal 2."""

    kind: Literal["pulsepal"] = "pulsepal"
    firmware: int = Field(21, ge=0, lt=1 << 32)
    """Number that the firmware gives of itself."""
    outputs: Wiring = one_each(wire.N_OUTPUTS)
    """Electrodes that each output feeds."""
    volts_per_ua: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Gain of the current stages behind the outputs, V per uA; by default there are none."""
    link: str = ""
    """Path of a symbolic link to the port; by default the system's name for it is all there is."""

    def build(self, dish: Dish) -> PulsePalEmulator:
        return PulsePalEmulator(self, dish)


class PulsePalEmulator(SerialEmulator):
    """Device, wires and electrodes."""

    def __init__(self, config: PulsePalEmulatorConfig, dish: Dish) -> None:
        gain = config.volts_per_ua
        self.firmware = Firmware(config.firmware, Electrodes(dish, config.outputs, gain))
        known = {"outputs": dict(config.outputs), **({} if gain is None else {"volts_per_ua": gain})}
        super().__init__(lambda data: self.firmware.hear(data, time.monotonic()), known, config.link)


class Firmware:
    """What the device does with bytes.

    Attributes
    ----------
    settings
        In effect.
    failed
        Whether a message has broken off: until its joystick is clicked, the device hears nothing more.
    """

    def __init__(self, number: int, electrodes: Electrodes) -> None:
        self._number, self._electrodes = number, electrodes
        self.settings, self.failed = default_settings(), False
        self._files = {"default.pps": self.settings.tobytes()}
        self._file = "default.pps"
        self._messages, self._heard_s = wire.Messages(), 0.0
        self._acts: Mapping[int, Callable[[bytes], bytes]] = {
            wire.HANDSHAKE: lambda _: wire.encode_hello(self._number),
            wire.PROGRAM: self._program,
            wire.PROGRAM_ONE: self._program_one,
            wire.CUSTOM_1: lambda _: bytes((wire.DONE,)),
            wire.CUSTOM_2: lambda _: bytes((wire.DONE,)),
            wire.TRIGGER: self._trigger,
            wire.HOLD: lambda _: bytes((wire.DONE,)),
            wire.ABORT: self._abort,
            wire.DISCONNECT: self._abort,
            wire.CONTINUOUS: self._loop,
            wire.READ: lambda _: self._files[self._file],
            wire.GET_LINE: lambda _: b"\0",
            wire.FILE: self._use_file,
        }

    def hear(self, data: bytes, now_s: float) -> bytes:
        """Return the answer to what has come."""
        if not self.failed and self._messages.begun and now_s - self._heard_s > BYTE_TIMEOUT_S:
            self.failed = True
        if self.failed or not data:
            return b""
        self._heard_s = now_s
        return b"".join(
            self._acts[message.operation](message.arguments)
            for message in self._messages.feed(data)
            if message.operation in self._acts
        )

    def click(self) -> None:
        """Press the joystick: after a failure the device goes on, with its default settings."""
        self.failed, self.settings = False, default_settings()
        self._messages.clear()

    def _program(self, arguments: bytes) -> bytes:
        self.settings = wire.decode_program(arguments)
        return bytes((wire.DONE,))

    def _program_one(self, arguments: bytes) -> bytes:
        wire.set_parameter(self.settings, arguments)
        return bytes((wire.DONE,))

    def _trigger(self, arguments: bytes) -> bytes:
        self._electrodes.fire(arguments[0], self.settings["outputs"])
        return b""

    def _abort(self, _: bytes) -> bytes:
        self._electrodes.abort()
        return b""

    def _loop(self, arguments: bytes) -> bytes:
        """Begin or end an endless train, of which only the first length is played."""
        if arguments[1] and 1 <= arguments[0] <= wire.N_OUTPUTS:
            self._electrodes.fire(1 << (arguments[0] - 1), self.settings["outputs"])
        return bytes((wire.DONE,))

    def _use_file(self, arguments: bytes) -> bytes:
        """Save, load or delete a file; loading answers with the settings as they are programmed."""
        operation, name = arguments[0], arguments[2:].decode("ascii", "replace")
        if operation == 1:
            self._file, self._files[name] = name, self.settings.tobytes()
        elif operation == 2 and name in self._files:
            self._file, self.settings = name, wire.decode_file(self._files[name])
            return wire.encode_program(self.settings)
        elif operation == 3 and name != self._file:
            self._files.pop(name, None)
        return b""


def default_settings() -> Records:
    """Return what the firmware begins with: one second of 5 V pulses on every output, started by trigger 1."""
    settings = wire.blank_settings()
    for name, value in (
        ("phase1_cycles", 2), ("interphase_cycles", 2), ("phase2_cycles", 2), ("interpulse_cycles", 20),
        ("train_cycles", 20_000), ("phase1_word", 49_152), ("phase2_word", 16_384),
    ):  # fmt: skip
        settings["outputs"][name] = value
    settings["triggers"]["links"][0] = 1
    return settings


class Electrodes:
    """What is behind the outputs: current stages, where there are any, and the culture."""

    def __init__(self, dish: Dish, outputs: Outputs, volts_per_ua: float | None) -> None:
        self._dish, self._outputs = dish, outputs
        self._unit = "mV" if volts_per_ua is None else "uA"
        self._step = wire.STEP_MV / (1.0 if volts_per_ua is None else 1000 * volts_per_ua)
        self._free_s = [0.0] * wire.N_OUTPUTS

    def fire(self, mask: int, settings: Records) -> None:
        """Start the outputs of a mask; one that is busy starts anew when it has ended, as in the firmware."""
        starts: dict[tuple[Pulse, float], list[int]] = {}
        now_s = time.monotonic()
        for k in range(wire.N_OUTPUTS):
            output = settings[k]
            if not (mask >> k & 1 and k + 1 in self._outputs and _is_playable(output)):
                continue
            pulse, begin_s = self._pulse(output), max(now_s, self._free_s[k])
            self._free_s[k] = begin_s + int(output["train_cycles"]) * wire.CYCLE_US * 1e-6
            for cycles in _pulse_starts(output):
                delay_s = round(begin_s - now_s + cycles * wire.CYCLE_US * 1e-6, 6)
                starts.setdefault((pulse, delay_s), []).extend(self._outputs[k + 1])
        for (pulse, delay_s), electrodes in starts.items():
            number = self._dish.load(Pattern(pulse, tuple(electrodes)))
            self._dish.stimulate(number, round(delay_s * self._dish.info.sampling_frequency))

    def abort(self) -> None:
        """End all pulses."""
        self._dish.silence()
        self._free_s = [0.0] * wire.N_OUTPUTS

    def _pulse(self, output: Records) -> Pulse:
        """Return the pulse of an output, relative to its resting voltage."""
        rest = int(output["resting_word"])
        first, gap, second = (
            float(output[f"{name}_cycles"]) * wire.CYCLE_US for name in ("phase1", "interphase", "phase2")
        )
        high, low = ((int(output[name]) - rest) * self._step for name in ("phase1_word", "phase2_word"))
        return Pulse(high, first, low, second, self._unit, gap)


def _is_playable(output: Records) -> bool:
    rest, phases = output["resting_word"], (output["phase1_word"], output["phase2_word"])
    widths = int(output["phase1_cycles"]) and int(output["phase2_cycles"])
    return bool(output["biphasic"]) and not output["custom_train"] and bool(widths) and rest not in phases


def _pulse_starts(output: Records) -> range:
    """Return when the pulses of a train begin, in cycles from its trigger."""
    length = sum(int(output[f"{name}_cycles"]) for name in ("phase1", "interphase", "phase2", "interpulse"))
    delay = int(output["delay_cycles"])
    return range(delay, delay + int(output["train_cycles"]), length)
