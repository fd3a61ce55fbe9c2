"""Stimulates through TTL lines of the Open Ephys GUI, each of which fires a stimulator that the GUI knows nothing of.

A line is wired to electrodes, and the stimulator behind it is set to one pulse: a session can ask for those pulses and
for no others. Lines are raised by the acquisition board (``message``: eight outputs) or as events of the signal chain
(``network-events``: 256 lines, which an output plug-in turns into voltage). Either way a line rises with the GUI's next
buffer, so a pulse comes up to one buffer before its sample, never after it. Protocol-tested against
open-ephys-python-tools; not yet hardware-tested.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop.core.limits import BoundLimits, StimLimits
from wetloop.core.plugin import StimulatorConfig
from wetloop_drivers.open_ephys_gui import EVENTS_PORT, Gui, GuiConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import RigInfo
    from wetloop_drivers.open_ephys_lines import Lines

SPARE_MS = 2.0
"""For the way from the engine to the GUI, ms."""
BOARD_LINES, EVENT_LINES = 8, 256


class LineConfig(BaseModel):
    """A TTL line, and what the stimulator behind it delivers: a symmetric pulse, negative phase first."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    line: int = Field(ge=1, le=EVENT_LINES)
    """Number of the line, from 1."""
    electrodes: tuple[int, ...] = Field(min_length=1)
    """Electrodes that the stimulator's output is wired to, from 0."""
    amplitude: float = Field(gt=0, allow_inf_nan=False)
    """Amplitude of each phase that the stimulator is set to, in the unit of the stimulator."""
    phase_us: float = Field(gt=0, allow_inf_nan=False)
    """Width of each phase that the stimulator is set to, us."""

    def pattern(self, unit: str) -> Pattern:
        """Return what the line delivers."""
        return Pattern(Pulse.balanced(self.amplitude, self.phase_us, unit), self.electrodes)


class TtlConfig(StimulatorConfig):
    """TTL lines of the Open Ephys GUI, before a stimulator."""

    kind: Literal["open-ephys"] = "open-ephys"
    gui: GuiConfig = GuiConfig()
    """Where the GUI runs."""
    through: Literal["message", "network-events"] = "message"
    """The acquisition board's own outputs, or events of the Network Events plug-in."""
    events_port: int = Field(EVENTS_PORT, ge=1, le=65535)
    """Port of the Network Events plug-in; its own default, 5556, is the ZMQ Interface's as well."""
    unit: Literal["uA", "mV"] = "mV"
    """What the stimulator controls: current or voltage."""
    lines: tuple[LineConfig, ...] = Field(min_length=1)
    """The lines in use."""
    ttl_ms: int = Field(10, ge=10, le=5000)
    """How long a line stays up, ms; the acquisition board takes 10 to 5000."""
    buffer_ms: float = Field(10.0, gt=0, le=1000, allow_inf_nan=False)
    """What the GUI processes at once, ms: a line rises so much after it was asked for, at most."""
    limits: BoundLimits = StimLimits()
    """What the stimulator behind the lines can do."""

    @model_validator(mode="after")
    def _lines_fit(self) -> Self:
        numbers = [wired.line for wired in self.lines]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"lines {numbers} name a line twice")
        if self.through == "message" and max(numbers) > BOARD_LINES:
            raise ValueError(f"line {max(numbers)} is not among the {BOARD_LINES} outputs of the acquisition board")
        if self.through == "network-events" and self.ttl_ms < self.buffer_ms:
            raise ValueError(
                f"ttl_ms {self.ttl_ms} is shorter than buffer_ms {self.buffer_ms:g}: a line that falls in the buffer "
                "in which it rises is never seen"
            )
        return self

    @property
    def interval_ms(self) -> float:
        """Time from one pulse of a line to the next, at least: the line must have fallen, ms."""
        return self.ttl_ms + self.buffer_ms

    def describe(self, rig: RigInfo) -> RigInfo:
        return replace(
            rig,
            unit=self.unit,
            limits=rig.limits.tightened(self.limits, StimLimits(min_interval_ms=self.interval_ms)),
            max_patterns=256,
            amplitude_step=0.0,
            immediate=True,
            trigger_latency_ms=self.buffer_ms,
            lead_samples=rig.lead_samples + rig.samples(self.buffer_ms + SPARE_MS),
        )

    def misfits(self, table: PatternTable) -> Sequence[str]:
        return [
            f"pattern {name!r} is {_told(pattern)}, but no line delivers that: {self._nearest(pattern)}"
            for name, pattern in table
            if self.line_of(pattern) is None
        ]

    def line_of(self, pattern: Pattern) -> int | None:
        """Return the line that delivers this pattern."""
        return next((wired.line for wired in self.lines if _same(wired.pattern(self.unit), pattern)), None)

    def build(self, info: RigInfo) -> TtlStimulator:
        _ = info
        return TtlStimulator(self)

    def _nearest(self, pattern: Pattern) -> str:
        """Tell of the line on the same electrodes, else which electrodes have lines."""
        for wired in self.lines:
            if set(wired.electrodes) == set(pattern.channels):
                return f"line {wired.line} delivers {_told(wired.pattern(self.unit))}"
        return f"the lines are wired to electrodes {', '.join(str(list(wired.electrodes)) for wired in self.lines)}"


def _same(one: Pattern, other: Pattern) -> bool:
    if set(one.channels) != set(other.channels) or one.pulse.unit != other.pulse.unit:
        return False
    fields = ("first_amplitude", "first_us", "second_amplitude", "second_us", "interphase_us")
    return all(math.isclose(getattr(one.pulse, f), getattr(other.pulse, f), rel_tol=1e-6) for f in fields)


def _told(pattern: Pattern) -> str:
    pulse = pattern.pulse
    return (
        f"{pulse.first_amplitude:g} / {pulse.second_amplitude:g} {pulse.unit}, {pulse.first_us:g} / "
        f"{pulse.second_us:g} us on {list(pattern.channels)}"
    )


class TtlStimulator:
    """Each prepared pattern is a line; it is raised when its trigger comes."""

    def __init__(self, config: TtlConfig) -> None:
        self._config, self._gui = config, Gui(config.gui)
        self._lines_of: list[int] = []
        self._lines: Lines | None = None

    def prepare(self, table: PatternTable) -> None:
        misfits = self._config.misfits(table)
        if misfits:
            raise RigError("the TTL lines of the Open Ephys GUI cannot deliver this:\n  " + "\n  ".join(misfits))
        self._lines_of = [line for _, pattern in table if (line := self._config.line_of(pattern)) is not None]
        self._gui.require_acquisition()
        self._lines = self._raised()

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        if self._lines is None:
            raise RigError("the stimulator is not prepared")
        self._lines.pulse(self._lines_of[pattern])

    def silence(self) -> None:
        """Do nothing: nothing is planned, and a line that is still up has fired its pulse."""

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        self._gui.close()

    def _raised(self) -> Lines:
        from wetloop_drivers.open_ephys_lines import BoardLines, EventLines

        config = self._config
        if config.through == "message":
            return BoardLines(self._gui, config.ttl_ms)
        return EventLines(f"tcp://{config.gui.host}:{config.events_port}", config.ttl_ms, config.gui.timeout_s)
