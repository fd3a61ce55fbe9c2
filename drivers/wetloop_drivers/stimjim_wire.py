"""The lines of text of a StimJim: trains that are stored, what it prints of them, and what it reports of their pulses.

Facts are from the firmware's source (stimjimPulser, 2025). ``S3,1,3,2000,1900; 5,0,200; -5,0,200`` stores train 3 and
prints it; ``S3`` prints it only. ``T3`` starts it and says so, and after its last pulse tells how many were delivered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

N_OUTPUTS = 2
N_TRAINS = 100
MAX_STAGES = 10
CURRENT, GROUND = 1, 3
CONVERTER_UA = 0.1017
"""Step of the current converter, to which the firmware rounds towards lower words."""
MAX_UA = 3330
MIN_STAGE_US = 20
"""Shortest stage: writing and measuring take 15 us of it."""
RULE = "-" * 34
MODES = ("Voltage output", "Current output", "No output (high-Z)", "No output (grounded)")
STARTED = re.compile(r"Started ([TU]) train with parameters of PulseTrain (\d+)")
COMPLETE = re.compile(r"Train complete\. Delivered (\d+) pulses\.")
_HEAD = re.compile(r"Parameters for PulseTrain\[(\d+)\]")
_MODE = re.compile(r"mode\[ch([01])\]: (\d+) ")
_TIME = re.compile(r"(period|duration): +(\d+) usec")
_STAGE = re.compile(r"(\d+) +(\d+) usec +(-?\d+)(?:mV|uA) +(-?\d+)(?:mV|uA)")
_SET = re.compile(r"\s*(-?\d+),(\d+),(\d+),(\d+),(\d+)\s*")
_TRIO = re.compile(r"\s*(-?\d+),(-?\d+),(\d+)\s*")


class Stage(NamedTuple):
    """Amplitude on each output, mV or uA by its mode, for so long, us."""

    amplitude0: int
    amplitude1: int
    duration_us: int


class Train(NamedTuple):
    """A stored train: the mode of each output, a pulse of stages every period, for a duration, us."""

    modes: tuple[int, int] = (GROUND, GROUND)
    period_us: int = 10_000
    duration_us: int = 500_000
    stages: tuple[Stage, ...] = ()


def encode_set(number: int, train: Train) -> bytes:
    """Return the line that stores a train."""
    head = f"S{number},{train.modes[0]},{train.modes[1]},{train.period_us},{train.duration_us}"
    return "; ".join([head, *(",".join(map(str, stage)) for stage in train.stages)]).encode("ascii") + b"\n"


def decode_set(line: str) -> tuple[int, Train | None] | None:
    """Return the train's number, and the train; None in its place where it is only to be printed."""
    if not line.startswith("S"):
        return None
    head, *rest = line[1:].split(";")
    if head.strip().isdecimal():
        return int(head), None
    found = _SET.fullmatch(head)
    if found is None:
        return None
    number, mode0, mode1, period, duration = map(int, found.groups())
    modes = (mode0 if mode0 < len(MODES) else GROUND, mode1 if mode1 < len(MODES) else GROUND)
    return number, Train(modes, period, duration, tuple(_stages(rest)))


def _stages(texts: Iterable[str]) -> Iterable[Stage]:
    """Yield stages up to the first that is none, as the firmware does."""
    for text in texts:
        found = _TRIO.match(text)
        if found is None:
            return
        yield Stage(*map(int, found.groups()))


def encode_dump(number: int, train: Train) -> bytes:
    """Return what the device prints of a train."""
    lines = [RULE, f"Parameters for PulseTrain[{number}]"]
    lines += [f"  mode[ch{k}]: {mode} ({MODES[mode]})" for k, mode in enumerate(train.modes)]
    hertz = 1e6 / train.period_us if train.period_us else 0.0
    lines += [
        f"  period:    {train.period_us} usec ({train.period_us * 1e-6:.3f} sec, {hertz:.3f} Hz)",
        f"  duration:  {train.duration_us} usec ({train.duration_us * 1e-6:.3f} sec)",
        "",
        "  stage    duration     output0   output1",
    ]
    units = ["uA" if mode else "mV" for mode in train.modes]
    for k, (first, second, duration_us) in enumerate(train.stages):
        lines.append(f"   {k:2d}  {duration_us:7d} usec {first:8d}{units[0]} {second:8d}{units[1]}")
    return "\r\n".join([*lines, RULE, "", ""]).encode("ascii")


class IsDumpEnd:
    """Counts rules."""

    def __init__(self) -> None:
        self._rules = 0

    def __call__(self, line: str) -> bool:
        self._rules += line == RULE
        return self._rules >= 2


def decode_dump(lines: Iterable[str]) -> tuple[int, Train] | None:
    """Return the number and parameters of a printed train; None where the lines hold none."""
    text = "\n".join(lines)
    head, modes = _HEAD.search(text), dict(_MODE.findall(text))
    times = dict(_TIME.findall(text))
    if head is None or len(modes) < N_OUTPUTS or len(times) < 2:
        return None
    stages = tuple(Stage(int(a), int(b), int(us)) for _, us, a, b in _STAGE.findall(text))
    train = Train((int(modes["0"]), int(modes["1"])), int(times["period"]), int(times["duration"]), stages)
    return int(head.group(1)), train


class Reports(NamedTuple):
    """What the device has said of its trains: how many it started, how many ended, and the pulses of those."""

    started: int = 0
    completed: int = 0
    delivered: int = 0
    empty: int = 0
    """Trains that ended without a pulse."""

    def after(self, text: str) -> Reports:
        """Return the reports with those in further text, which holds whole lines."""
        counts = [int(count) for count in COMPLETE.findall(text)]
        return Reports(
            self.started + len(STARTED.findall(text)),
            self.completed + len(counts),
            self.delivered + sum(counts),
            self.empty + counts.count(0),
        )


def encode_summary(pulses: int, train: Train) -> bytes:
    """Return what the device prints at the end of a train; it measures what it was told."""
    lines = [f"Train complete. Delivered {pulses} pulses.", "Current/Voltage by stage: "]
    lines += ["           Ch0                Ch1 "]
    units = ["uA" if mode else "mV" for mode in train.modes]
    for k, stage in enumerate(train.stages):
        told = (stage[0] if pulses else 0, stage[1] if pulses else 0)
        lines.append(f"Stage {k}{told[0]:6d}{units[0]},          {told[1]:6d}{units[1]},          ")
    return "\r\n".join([*lines, ""]).encode("ascii")
