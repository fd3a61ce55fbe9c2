"""Fits a table of patterns to an RHS controller: one pulse shape and one key (F1 to F8) for each channel.

Channels that are stimulated by the same patterns share a key; a pattern presses the keys of its channels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.core.guard import PatternTable, Pulse

N_KEYS = 8
MAX_STEPS = 255
"""Largest amplitude, in steps."""
MAX_PHASE_US = 5000.0


class KeyPlan(NamedTuple):
    """``pulses`` by channel; channels of each key; the keys that each pattern presses."""

    pulses: dict[int, Pulse]
    channels_of_key: tuple[tuple[int, ...], ...]
    keys_of_pattern: tuple[tuple[int, ...], ...]

    def press(self, pattern: int) -> bytes:
        """Return the commands that deliver a pattern."""
        return b"".join(b"execute manualstimtriggerpulse F%d;" % (key + 1) for key in self.keys_of_pattern[pattern])

    def release(self) -> bytes:
        """Return the commands that let go of every key."""
        return b"".join(b"execute manualstimtriggeroff F%d;" % (k + 1) for k in range(len(self.channels_of_key)))


def plan_keys(table: PatternTable) -> KeyPlan:
    """Return the keys of a table that fits (``misfits`` has nothing to say)."""
    members = _members(table)
    groups = sorted(set(members.values()))
    channels = tuple(tuple(c for c, group in members.items() if group == one) for one in groups)
    pressed = tuple(tuple(k for k, group in enumerate(groups) if entry in group) for entry in range(len(table)))
    pulses = {c: pattern.pulse for _, pattern in table for c in pattern.channels}
    return KeyPlan(pulses, channels, pressed)


def misfits(table: PatternTable, sampling_frequency: float) -> tuple[str, ...]:
    """Return why a table does not fit, with numbers; nothing if it does."""
    return (*_unlike_pulses(table), *_too_many_keys(table), *_shapes(table, 1e6 / sampling_frequency))


def _members(table: PatternTable) -> dict[int, tuple[int, ...]]:
    """Return, by channel, the entries that stimulate it."""
    members: dict[int, tuple[int, ...]] = {}
    for entry, (_, pattern) in enumerate(table):
        for channel in pattern.channels:
            members[channel] = (*members.get(channel, ()), entry)
    return dict(sorted(members.items()))


def _unlike_pulses(table: PatternTable) -> Iterator[str]:
    """Tell each pair of pulses once, with the channels that are to give both."""
    first: dict[int, tuple[str, Pulse]] = {}
    unlike: dict[tuple[Pulse, Pulse], tuple[str, str, set[int]]] = {}
    for name, pattern in table:
        for channel in pattern.channels:
            before, pulse = first.setdefault(channel, (name, pattern.pulse))
            if pulse != pattern.pulse:
                unlike.setdefault((pulse, pattern.pulse), (before, name, set()))[2].add(channel)
    for (pulse, other), (before, name, channels) in unlike.items():
        yield (
            f"channels {', '.join(map(str, sorted(channels)))} are to give {_told(pulse)} in {before!r}, but "
            f"{_told(other)} in {name!r}: an RHS channel holds one pulse; give both patterns {_told(pulse)}"
        )


def _too_many_keys(table: PatternTable) -> Iterator[str]:
    n_groups = len(set(_members(table).values()))
    if n_groups > N_KEYS:
        yield (
            f"{n_groups} groups of channels are to be stimulated independently, but RHX has {N_KEYS} keys: "
            f"use at most {N_KEYS} sensory electrodes, and feedback on the same ones or on all of them"
        )


def _shapes(table: PatternTable, period_us: float) -> Iterator[str]:
    told: set[str] = set()
    for name, pattern in table:
        for fault in _shape_faults(pattern.pulse, period_us):
            if fault not in told:
                told.add(fault)
                yield f"pattern {name!r}: {fault}"


def _shape_faults(pulse: Pulse, period_us: float) -> Iterator[str]:
    if pulse.first_amplitude * pulse.second_amplitude >= 0:
        yield "both phases have the same sign, and an RHS pulse has opposite ones"
    for field in ("first_us", "second_us", "interphase_us"):
        width = getattr(pulse, field)
        nearest = round(width / period_us) * period_us
        if not math.isclose(width, nearest, abs_tol=0.01):
            yield (
                f"{field} {width:g} us is no multiple of the sample period {period_us:.4g} us: "
                f"the controller would give {nearest:.4g} us; set that"
            )
        if width > MAX_PHASE_US:
            yield f"{field} {width:g} us is over {MAX_PHASE_US:g} us"


def _told(pulse: Pulse) -> str:
    first = f"{pulse.first_amplitude:+g} {pulse.unit} for {pulse.first_us:g} us"
    pause = f", {pulse.interphase_us:g} us pause" if pulse.interphase_us else ""
    return f"{first}{pause}, {pulse.second_amplitude:+g} {pulse.unit} for {pulse.second_us:g} us"


def parameters(pulse: Pulse, key: int, refractory_us: float, settle_us: float) -> dict[str, str]:
    """Return what to set of a channel, in this order: it is enabled last.

    Parameters
    ----------
    key
        Counted from 0: key 0 is F1.
    refractory_us
        Time after a pulse in which a trigger does nothing, us.
    settle_us
        Time after a pulse in which the channel's amplifier settles fast, us; 0: it does not.
    """
    shape = "BiphasicWithInterphaseDelay" if pulse.interphase_us else "Biphasic"
    values: dict[str, object] = {
        "Source": f"KeyPressF{key + 1}",
        "TriggerEdgeOrLevel": "Edge",
        "TriggerHighOrLow": "High",
        "PulseOrTrain": "SinglePulse",
        "Shape": shape,
        "Polarity": "NegativeFirst" if pulse.first_amplitude < 0 else "PositiveFirst",
        "FirstPhaseDurationMicroseconds": f"{pulse.first_us:.10g}",
        "SecondPhaseDurationMicroseconds": f"{pulse.second_us:.10g}",
        "InterphaseDelayMicroseconds": f"{pulse.interphase_us:.10g}",
        "FirstPhaseAmplitudeMicroAmps": f"{abs(pulse.first_amplitude):.10g}",
        "SecondPhaseAmplitudeMicroAmps": f"{abs(pulse.second_amplitude):.10g}",
        "PreStimAmpSettleMicroseconds": 0,
        "PostTriggerDelayMicroseconds": 0,
        "PostStimAmpSettleMicroseconds": f"{settle_us:g}",
        "PostStimChargeRecovOnMicroseconds": 0,
        "PostStimChargeRecovOffMicroseconds": 0,
        "RefractoryPeriodMicroseconds": f"{refractory_us:g}",
        "PulseTrainPeriodMicroseconds": f"{max(10_000.0, pulse.duration_us):.10g}",
        "MaintainAmpSettle": False,
        "EnableAmpSettle": settle_us > 0,
        "EnableChargeRecovery": False,
        "StimEnabled": True,
    }
    return {name: str(value) for name, value in values.items()}
