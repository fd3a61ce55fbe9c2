"""StimJim over its USB serial line: two isolated current outputs, and a stored train of one pulse for each pattern.

The device starts a train when its line has come, says so, and reports the pulses 2 ms later: ``reports`` holds the
counts; a train that another one follows sooner is not reported. All run on the device's first engine: a report of the
second would stretch a pulse of the first. While one output delivers, the other waits, for 0.5 ms at most.

Its converter steps by 0.1017 uA and rounds each phase by itself, so the two phases of a pulse may differ by a step:
small amplitudes are unbalanced by a large part, which ``max_converter_imbalance`` limits.

Protocol-tested against an emulator written from the firmware's source; not yet hardware-tested.
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
from wetloop_drivers import stimjim_wire as wire
from wetloop_drivers.links import ReconnectConfig
from wetloop_drivers.outputs import Wiring, beside, covers, told_wiring
from wetloop_drivers.redial import by_policy
from wetloop_drivers.serial_line import SerialLine, first_to_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wetloop.core.guard import Pattern, PatternTable, Pulse
    from wetloop.core.types import RigInfo
    from wetloop_drivers.outputs import Outputs
    from wetloop_drivers.redial import Redial

WHAT = "StimJim"
MARGIN_US = 1000
"""From the command to the pulse's begin at most, us: the device prints a line in between."""
PRINT_US = 80
"""What the device needs between two pulses, us."""
HELD_NS = 500_000
"""How long a pulse may be held back by that of the other output; it is not delivered where it would be longer."""
ANSWER_NS = 500_000_000


class StimJimConfig(StimulatorConfig):
    """A StimJim in current mode."""

    kind: Literal["stimjim"] = "stimjim"
    ports: tuple[str, ...] = ()
    """Serial ports to look at, such as /dev/ttyACM0 or COM3; the first that answers as a StimJim is taken. By default
    all ports of this computer, each of which is sent one line."""
    outputs: Wiring
    """Electrode that each output (1 and 2, which StimJim calls 0 and 1) feeds, from 0, as in {1: [0], 2: [7]}."""
    min_interval_ms: float = Field(4.0, ge=2.0, le=10_000)
    """Time from one pulse of an electrode to the next, at least, ms; a pulse must have ended by then."""
    max_converter_imbalance: float = Field(0.05, gt=0, le=1)
    """Largest part of a phase by which the converter's step may unbalance a pulse: 0.05 asks for 2.1 uA."""
    trigger_latency_ms: float = Field(1.0, ge=0, le=100)
    """From the command to the pulse, ms: about 1 over USB."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the line is lost; a device that comes back is loaded and read back anew."""
    limits: BoundLimits = StimLimits()
    """What the electrodes can take beyond what the rig says."""

    @model_validator(mode="after")
    def _outputs_exist(self) -> Self:
        for number, electrodes in self.outputs.items():
            if not 1 <= number <= wire.N_OUTPUTS:
                raise ValueError(f"there is no output {number}: a StimJim has 1 and 2")
            if len(electrodes) > 1:
                raise ValueError(
                    f"output {number} feeds {len(electrodes)} electrodes: a current would divide between them in "
                    "unknown parts; wire one"
                )
        return self

    @property
    def longest_us(self) -> float:
        """Longest pulse that has ended before the next one may begin, us."""
        return self.min_interval_ms * 1000 - 2 * MARGIN_US

    def describe(self, rig: RigInfo) -> RigInfo:
        own = StimLimits(
            max_amplitude_ua=wire.MAX_UA, min_phase_us=wire.MIN_STAGE_US, min_interval_ms=self.min_interval_ms
        )
        return replace(
            beside(rig, self.outputs, self.trigger_latency_ms),
            unit="uA",
            limits=rig.limits.tightened(self.limits, own),
            max_patterns=wire.N_TRAINS,
            amplitude_step=1.0,
        )

    def misfits(self, table: PatternTable) -> Sequence[str]:
        return [f"pattern {name!r}: {fault}" for name, pattern in table for fault in self._faults(pattern)]

    def build(self, info: RigInfo) -> StimJim | Redial:
        _ = info
        return by_policy(lambda: StimJim(self), self.reconnect)

    def _faults(self, pattern: Pattern) -> Iterator[str]:
        pulse = pattern.pulse
        if next(covers(self.outputs, pattern.channels), None) is None:
            yield (f"no outputs together feed exactly electrodes {list(pattern.channels)}: {told_wiring(self.outputs)}")
        for name in ("first_us", "interphase_us", "second_us"):
            width = getattr(pulse, name)
            if width != round(width):
                yield f"{name} {width:g} us is no whole number of us"
        if 0 < pulse.interphase_us < wire.MIN_STAGE_US:
            yield f"interphase_us {pulse.interphase_us:g} us is under {wire.MIN_STAGE_US} us, the shortest stage"
        if pulse.duration_us > self.longest_us:
            yield f"{pulse.duration_us:g} us long, but with this min_interval_ms at most {self.longest_us:g} us"
        least = min(abs(pulse.first_amplitude), abs(pulse.second_amplitude))
        if self.max_converter_imbalance * least < wire.CONVERTER_UA:
            yield (
                f"{least:g} uA: a converter step of {wire.CONVERTER_UA} uA may unbalance it by "
                f"{wire.CONVERTER_UA / least:.0%}, over max_converter_imbalance {self.max_converter_imbalance:.0%}; "
                f"use at least {math.ceil(wire.CONVERTER_UA / self.max_converter_imbalance)} uA"
            )


class StimJim:
    """The device, once it is prepared.

    Attributes
    ----------
    reports
        What the device has said of its trains so far.
    """

    def __init__(self, config: StimJimConfig) -> None:
        self._config = config
        self.reports = wire.Reports()
        self._line: SerialLine | None = None
        self._starts: tuple[bytes, ...] = ()
        self._busy_ns: tuple[int, ...] = ()
        self._free_ns = 0
        self._asked: list[int] = []
        self._text = b""

    def prepare(self, table: PatternTable) -> None:
        misfits = self._config.misfits(table)
        if misfits:
            raise RigError(f"{WHAT} cannot load the patterns:\n  " + "\n  ".join(misfits))
        self._line = line = first_to_answer(self._config.ports, WHAT, _greet)
        for number, pattern in enumerate(table.patterns):
            _load(line, number, train_of(pattern, self._config.outputs))
        self._starts = tuple(f"T{number}\n".encode("ascii") for number in range(len(table)))
        self._busy_ns = tuple(round(pattern.pulse.duration_us + PRINT_US) * 1000 for pattern in table.patterns)

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        line, now_ns = self._opened(), time.monotonic_ns()
        if self._free_ns - now_ns > HELD_NS:
            raise LatePulseError(f"{WHAT}: the last pulse is still delivered, and would hold this one back")
        line.write(self._starts[pattern])
        self._asked.append(now_ns)
        self._free_ns = max(now_ns, self._free_ns) + self._busy_ns[pattern]
        self._hear(line.read_waiting())
        if self._asked and now_ns - self._asked[0] > ANSWER_NS:
            raise line.unanswered("a train was not started")

    def silence(self) -> None:
        self._opened().write(b"T-1\nU-1\n")
        self.ping()

    def ping(self) -> None:
        """Have a train printed, and wait for it."""
        line = self._opened()
        line.write(f"S{wire.N_TRAINS - 1}\n".encode("ascii"))
        said = line.read_lines(wire.IsDumpEnd())
        self._hear("\n".join([*said, ""]).encode("ascii"))

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(RigError):
                line.write(b"T-1\nU-1\nM0,3\nM1,3\n")
            line.close()

    def _opened(self) -> SerialLine:
        if self._line is None:
            raise RigError(f"{WHAT} is not connected")
        return self._line

    def _hear(self, came: bytes) -> None:
        """Take in reports; a train that ended without a pulse was begun too late by the device."""
        whole, newline, self._text = (self._text + came).rpartition(b"\n")
        if newline:
            before, self.reports = self.reports, self.reports.after(whole.decode("ascii", "replace"))
            del self._asked[: self.reports.started - before.started]


def train_of(pattern: Pattern, outputs: Outputs) -> wire.Train:
    """Return a train of the pattern's one pulse."""
    used = next(covers(outputs, pattern.channels))
    pulse = pattern.pulse
    period_us = max(2 * MARGIN_US, round(pulse.duration_us) + MARGIN_US)
    modes = tuple(wire.CURRENT if number in used else wire.GROUND for number in (1, 2))
    stages = tuple(_stages(pulse, [number in used for number in (1, 2)]))
    return wire.Train((modes[0], modes[1]), period_us, period_us - 100, stages)


def _stages(pulse: Pulse, used: Sequence[bool]) -> Iterator[wire.Stage]:
    for amplitude, width_us in (
        (pulse.first_amplitude, pulse.first_us),
        (0.0, pulse.interphase_us),
        (pulse.second_amplitude, pulse.second_us),
    ):
        if width_us:
            first, second = (round(amplitude) if feeds else 0 for feeds in used)
            yield wire.Stage(first, second, round(width_us))


def _greet(port: str) -> SerialLine:
    """Return the line to a StimJim that is known to be one: it prints a train when it is asked to."""
    line = SerialLine(port, WHAT)
    try:
        line.flush_stale()
        line.write(b"\nS0\n")
        _printed(line, 0)
    except RigError:
        line.close()
        raise
    return line


def _load(line: SerialLine, number: int, train: wire.Train) -> None:
    line.write(wire.encode_set(number, train))
    told = _printed(line, number)
    if told != train:
        raise RigError(f"{WHAT} at {line.port} stored train {number} as {told}, not {train}: switch it off and on")


def _printed(line: SerialLine, number: int) -> wire.Train:
    said = line.read_lines(wire.IsDumpEnd())
    found = wire.decode_dump(said)
    if found is None or found[0] != number:
        raise RigError(f"printed {said[-3:]}, which is not train {number} of a StimJim")
    return found[1]
