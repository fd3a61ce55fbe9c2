"""Sanworks Pulse Pal 2 over its USB serial line: four voltage outputs, each with one pulse loaded before the run.

A pulse starts with the device's timer (50 us) after its command. Outputs give voltages: a culture needs an isolator or
a current stage behind them, whose gain is ``volts_per_ua``. A trigger is not acknowledged on the wire, so each is
sent behind a handshake, whose answer must have come before the next trigger.

Protocol-tested against an emulator that pypulsepal drives, for firmware 20 and 21; not yet hardware-tested.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.limits import BoundLimits, StimLimits
from wetloop.core.plugin import StimulatorConfig
from wetloop_drivers import pulsepal_wire as wire
from wetloop_drivers.links import ReconnectConfig
from wetloop_drivers.outputs import Wiring, beside
from wetloop_drivers.pulsepal_plan import misfits, plan, settings_of
from wetloop_drivers.redial import by_policy
from wetloop_drivers.serial_line import SerialLine, first_to_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records, RigInfo
    from wetloop_drivers.redial import Redial

WHAT = "Pulse Pal"
FILE_NAME = "wetloop.pps"
"""File on the device's card through which settings are read back; the user's own files are left alone."""
LOWEST_WORD, HIGHEST_WORD = 1, 65_535
"""Words of the converter, symmetric about 0 V."""
DELIVERY_US = 1050.0
"""How much later than its sample a pulse may begin, us: a frame, and a cycle of the timer."""
ANSWER_NS = 500_000_000


class PulsePalConfig(StimulatorConfig):
    """A Pulse Pal 2."""

    kind: Literal["pulsepal"] = "pulsepal"
    ports: tuple[str, ...] = ()
    """Serial ports to look at, such as /dev/ttyACM0 or COM3; the first that answers as a Pulse Pal is taken. By
    default all ports of this computer, each of which is sent two bytes."""
    outputs: Wiring
    """Electrodes that each output (1 to 4) feeds, from 0, as in {1: [0], 2: [7]}."""
    volts_per_ua: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Gain of the current stage behind each output, V per uA; by default the outputs' voltage itself stimulates."""
    min_interval_ms: float = Field(4.0, ge=2.0, le=10_000)
    """Time from one pulse of an electrode to the next, at least, ms; a pulse must have ended by then, or the device
    would hold the next one back."""
    trigger_latency_ms: float = Field(1.0, ge=0, le=100)
    """From the command to the pulse, ms: about 1 over USB."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the line is lost; a device that comes back is loaded and read back anew."""
    limits: BoundLimits = StimLimits()
    """What the isolators or current stages can do."""

    @model_validator(mode="after")
    def _outputs_exist(self) -> Self:
        for number, electrodes in self.outputs.items():
            if not 1 <= number <= wire.N_OUTPUTS:
                raise ValueError(f"there is no output {number}: a Pulse Pal has 1 to {wire.N_OUTPUTS}")
            if self.volts_per_ua is not None and len(electrodes) > 1:
                raise ValueError(
                    f"output {number} feeds {len(electrodes)} electrodes: a current would divide between them in "
                    "unknown parts; wire one"
                )
        return self

    @property
    def mv_per_unit(self) -> float:
        """Output voltage for 1 mV or 1 uA of a pulse, mV."""
        return 1.0 if self.volts_per_ua is None else 1000 * self.volts_per_ua

    @property
    def longest_us(self) -> float:
        """Longest pulse that has ended before the next one may begin, us."""
        return self.min_interval_ms * 1000 - DELIVERY_US

    def describe(self, rig: RigInfo) -> RigInfo:
        step = wire.STEP_MV / self.mv_per_unit
        unit = "mV" if self.volts_per_ua is None else "uA"
        most = {f"max_amplitude_{unit.lower()}": step * (HIGHEST_WORD - wire.ZERO_WORD)}
        own = StimLimits(min_phase_us=wire.CYCLE_US, min_interval_ms=self.min_interval_ms, **most)
        limits = rig.limits.tightened(self.limits, own)
        return replace(
            beside(rig, self.outputs, self.trigger_latency_ms), unit=unit, limits=limits, amplitude_step=step
        )

    def misfits(self, table: PatternTable) -> Sequence[str]:
        return list(misfits(table, self.outputs, self.longest_us))

    def build(self, info: RigInfo) -> PulsePal | Redial:
        _ = info
        return by_policy(lambda: PulsePal(self), self.reconnect)


class PulsePal:
    """The device, once it is prepared."""

    def __init__(self, config: PulsePalConfig) -> None:
        self._config = config
        self._line: SerialLine | None = None
        self._masks: tuple[int, ...] = ()
        self._length_ns: tuple[int, ...] = ()
        self._free_ns = [0] * wire.N_OUTPUTS
        self._unanswered: list[int] = []
        self._answers = b""
        self._hello = b""

    def prepare(self, table: PatternTable) -> None:
        config, loaded = self._config, plan(table, self._config.outputs)
        if loaded is None:
            raise RigError(f"{WHAT} cannot load the patterns:\n  " + "\n  ".join(config.misfits(table)))
        self._line = first_to_answer(config.ports, WHAT, self._greet)
        self._load(settings_of(loaded.held, config.mv_per_unit), self._line)
        self._masks = loaded.masks
        self._length_ns = tuple(math.ceil(p.pulse.duration_us + wire.CYCLE_US) * 1000 for p in table.patterns)

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        line, mask, now_ns = self._opened(), self._masks[pattern], time.monotonic_ns()
        outputs = [k for k in range(wire.N_OUTPUTS) if mask >> k & 1]
        if any(now_ns < self._free_ns[k] for k in outputs):
            raise LatePulseError(f"{WHAT}: an output still delivers its last pulse, and would hold this one back")
        line.write(wire.message(wire.HANDSHAKE) + wire.message(wire.TRIGGER, bytes((mask,))))
        self._unanswered.append(now_ns)
        for k in outputs:
            self._free_ns[k] = now_ns + self._length_ns[pattern]
        self._require_answers(line, now_ns)

    def silence(self) -> None:
        self._ask(wire.message(wire.ABORT))

    def ping(self) -> None:
        """Ask for the firmware's number, and wait for it."""
        self._ask(b"")

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(RigError):
                line.write(wire.message(wire.ABORT) + wire.message(wire.DISCONNECT))
            line.close()

    def _opened(self) -> SerialLine:
        if self._line is None:
            raise RigError(f"{WHAT} is not connected")
        return self._line

    def _greet(self, port: str) -> SerialLine:
        """Return the line to a Pulse Pal that is known to be one."""
        line = SerialLine(port, WHAT)
        try:
            line.flush_stale()
            line.write(wire.message(wire.HANDSHAKE))
            self._hello = line.read_exactly(wire.HELLO_BYTES)
            _require_model(self._hello)
        except RigError:
            line.close()
            raise
        return line

    def _load(self, settings: Records, line: SerialLine) -> None:
        """Load settings, and compare with what the device then holds.

        The firmware keeps endless trains (``CONTINUOUS``) apart from the settings, and gives a new resting voltage to
        the outputs with the next abort only.
        """
        line.write(wire.message(wire.CLIENT, b"WETLP "))
        for number in range(1, wire.N_OUTPUTS + 1):
            self._command(line, wire.message(wire.CONTINUOUS, bytes((number, 0))))
        self._command(line, wire.message(wire.PROGRAM, wire.encode_program(settings)))
        line.write(wire.message(wire.ABORT) + wire.save_message(FILE_NAME) + wire.message(wire.READ))
        wrong = wire.differences(wire.decode_file(line.read_exactly(wire.SETTINGS.itemsize)), settings)
        if wrong:
            raise RigError(
                f"{WHAT} at {line.port} does not hold what was loaded: {'; '.join(wrong[:4])}: is there a card in it?"
            )

    @staticmethod
    def _command(line: SerialLine, message: bytes) -> None:
        line.write(message)
        if (answer := line.read_exactly(1)) != bytes((wire.DONE,)):
            raise RigError(
                f"{WHAT} at {line.port} answered operation {message[1]} with {answer!r}: switch it off and on"
            )

    def _ask(self, message: bytes) -> None:
        """Send a message, and wait until the device has obeyed it: a handshake behind it is answered."""
        line = self._opened()
        self._collect(line, line.read_waiting())
        line.write(message + wire.message(wire.HANDSHAKE))
        self._unanswered.append(time.monotonic_ns())
        self._collect(line, line.read_exactly(wire.HELLO_BYTES * len(self._unanswered) - len(self._answers)))

    def _require_answers(self, line: SerialLine, now_ns: int) -> None:
        """Take in the answers to earlier triggers; one that is missing means that the device hears nothing."""
        self._collect(line, line.read_waiting())
        if self._unanswered and now_ns - self._unanswered[0] > ANSWER_NS:
            raise line.unanswered("a trigger went unanswered; after COMM. FAILURE, click its joystick and start anew")

    def _collect(self, line: SerialLine, came: bytes) -> None:
        self._answers += came
        while len(self._answers) >= wire.HELLO_BYTES and self._unanswered:
            if not self._answers.startswith(self._hello):
                break
            self._answers = self._answers[wire.HELLO_BYTES :]
            self._unanswered.pop(0)
        if self._answers and not self._hello.startswith(self._answers[: wire.HELLO_BYTES]):
            raise line.unanswered(f"{self._answers!r} came, which nobody asked for")


def _require_model(hello: bytes) -> None:
    firmware = wire.decode_hello(hello)
    if firmware is None:
        raise RigError(f"answers {hello!r}, which is not the answer of a Pulse Pal")
    if firmware < wire.OLDEST_FIRMWARE:
        raise RigError(
            f"has firmware {firmware}, as Pulse Pal 1 has: Pulse Pal 2 with {wire.OLDEST_FIRMWARE} or later is needed"
        )
