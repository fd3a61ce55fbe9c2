"""What each output of a Pulse Pal is to hold, so that some outputs together deliver each pattern of a session.

An output holds one pulse, which is loaded before the run: four outputs, at most four different pulses. A pattern is
the outputs that together feed exactly its electrodes and hold its pulse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from wetloop_drivers.outputs import covers, told_pulse, told_wiring
from wetloop_drivers.pulsepal_wire import CYCLE_US, blank_settings, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wetloop.core.guard import Pattern, PatternTable, Pulse
    from wetloop.core.types import Records
    from wetloop_drivers.outputs import Outputs

Held: TypeAlias = "Mapping[int, Pulse]"


class Plan(NamedTuple):
    """Which pulse each output holds, and the outputs of each pattern of the table as bits, bit 0 for output 1."""

    held: Held
    masks: tuple[int, ...]


def plan(table: PatternTable, outputs: Outputs) -> Plan | None:
    """Return how a table is loaded; None where it cannot be."""
    held = _assigned(tuple(dict.fromkeys(table.patterns)), outputs, {})
    return None if held is None else Plan(held, tuple(_mask(pattern, outputs, held) for pattern in table.patterns))


def _assigned(patterns: Sequence[Pattern], outputs: Outputs, held: Held) -> Held | None:
    """Return what the outputs hold when these patterns are added, trying every way."""
    if not patterns:
        return held
    pulse = patterns[0].pulse
    for cover in covers(outputs, patterns[0].channels):
        if all(held.get(output, pulse) == pulse for output in cover):
            found = _assigned(patterns[1:], outputs, {**held, **dict.fromkeys(cover, pulse)})
            if found is not None:
                return found
    return None


def _mask(pattern: Pattern, outputs: Outputs, held: Held) -> int:
    fit = (c for c in covers(outputs, pattern.channels) if all(held.get(o) == pattern.pulse for o in c))
    return sum(1 << (output - 1) for output in next(fit))


def misfits(table: PatternTable, outputs: Outputs, longest_us: float) -> Iterator[str]:
    """Yield why a table cannot be loaded, with numbers."""
    for name, pattern in table:
        yield from (f"pattern {name!r}: {fault}" for fault in _grid_faults(pattern.pulse, longest_us))
        if next(covers(outputs, pattern.channels), None) is None:
            yield (
                f"pattern {name!r} on electrodes {list(pattern.channels)}: no outputs together feed exactly these: "
                f"{told_wiring(outputs)}"
            )
    pulses = list(dict.fromkeys(pattern.pulse for pattern in table.patterns))
    if len(pulses) > len(outputs):
        told = "; ".join(map(told_pulse, pulses))
        yield f"{len(pulses)} different pulses, but {len(outputs)} outputs are wired and each holds one: {told}"
    elif plan(table, outputs) is None:
        yield from _conflict(table, outputs)


def _conflict(table: PatternTable, outputs: Outputs) -> Iterator[str]:
    """Name the first pattern that finds its outputs taken."""
    wired = [(n, p) for n, p in table if next(covers(outputs, p.channels), None) is not None]
    taken: Held = {}
    for count, (name, pattern) in enumerate(wired, 1):
        held = _assigned([p for _, p in wired[:count]], outputs, {})
        if held is None:
            told = "; ".join(f"output {output} holds {told_pulse(pulse)}" for output, pulse in taken.items())
            yield (
                f"pattern {name!r} of {told_pulse(pattern.pulse)} on electrodes {list(pattern.channels)}: its outputs "
                f"hold other pulses already ({told}); give both the same amplitude and width, or wire further outputs"
            )
            return
        taken = held


def _grid_faults(pulse: Pulse, longest_us: float) -> Iterator[str]:
    for name in ("first_us", "interphase_us", "second_us"):
        width = getattr(pulse, name)
        if abs(width - CYCLE_US * round(width / CYCLE_US)) > 1e-6:
            yield f"{name} {width:g} us is no multiple of {CYCLE_US} us, the period of the device's timer"
    if pulse.duration_us > longest_us:
        yield f"{pulse.duration_us:g} us long, but with this min_interval_ms at most {longest_us:g} us"


def settings_of(held: Held, mv_per_unit: float) -> Records:
    """Return the settings under which each output delivers its pulse once per trigger, and nothing otherwise."""
    settings = blank_settings()
    for number, pulse in held.items():
        output = settings["outputs"][number - 1]
        first, gap, second = (round(us / CYCLE_US) for us in (pulse.first_us, pulse.interphase_us, pulse.second_us))
        output["biphasic"] = 1
        output["phase1_cycles"], output["interphase_cycles"], output["phase2_cycles"] = first, gap, second
        output["train_cycles"] = first + gap + second
        output["phase1_word"] = word_of(pulse.first_amplitude * mv_per_unit)
        output["phase2_word"] = word_of(pulse.second_amplitude * mv_per_unit)
    return settings
