"""The dynamic half of the stimulation guard: no pulse passes a limit, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.kernels.jit import inner
from wetloop.kernels.records import (
    ARRAY_RATE,
    CHARGE_MINUTE,
    CHARGE_SECOND,
    CHARGE_SESSION,
    DELIVERED,
    ELECTRODES,
    INTERVAL,
    RATE,
)

if TYPE_CHECKING:
    from wetloop.kernels.records import Record
    from wetloop.kernels.state import Guard

CHARGE_FATES = (CHARGE_SECOND, CHARGE_MINUTE)


@inner
def admit(guard: Guard, sample: int, pattern: int) -> int:
    """Return DELIVERED and book the pulse, or return the first limit that it would break."""
    fate = array_fate(guard, sample, pattern)
    if fate != DELIVERED:
        return fate
    first, last = guard.pattern_first[pattern], guard.pattern_first[pattern + 1]
    for q in range(first, last):
        fate = electrode_fate(guard, sample, guard.pattern_channels[q], guard.pattern_charge[pattern])
        if fate != DELIVERED:
            return fate
    for q in range(first, last):
        book(guard, sample, guard.pattern_channels[q], guard.pattern_charge[pattern])
    return DELIVERED


@inner
def array_fate(guard: Guard, sample: int, pattern: int) -> int:
    """Check what concerns all electrodes together: pulses in any second, electrodes at once."""
    limits, times, count = guard.limits[0], guard.array_times, guard.array_count[0]
    n = guard.pattern_first[pattern + 1] - guard.pattern_first[pattern]
    if n > times.size or sample - times[(count + n - 1) % times.size] < limits.array_window:
        return ARRAY_RATE
    at_once = n
    for k in range(1, times.size + 1):
        if sample - times[(count - k) % times.size] >= limits.overlap:
            break
        at_once += 1
    return ELECTRODES if at_once > limits.max_electrodes else DELIVERED


@inner
def electrode_fate(guard: Guard, sample: int, channel: int, charge: float) -> int:
    """Check what concerns one electrode: interval, pulses in any second, charge in every window and in the session."""
    limits, electrode, times = guard.limits[0], guard.electrodes[channel], guard.electrode_times
    if sample - electrode.last < limits.min_interval:
        return INTERVAL
    if sample - times[channel, electrode.n % times.shape[1]] < limits.rate_window:
        return RATE
    for w in range(electrode.bin.size):
        forget_charge(electrode, w, sample // limits.charge_bin[w])
        total = charge
        for k in range(electrode.charge.shape[1]):
            total += electrode.charge[w, k]
        if total > limits.max_charge[w]:
            return CHARGE_FATES[w]
    return CHARGE_SESSION if electrode.session_charge + charge > limits.max_session_charge else DELIVERED


@inner
def forget_charge(electrode: Record, window: int, now: int) -> None:
    """Empty the bins that have left the window; a bin is counted until all of it has left: never too lenient."""
    n_bins = electrode.charge.shape[1]
    if now - electrode.bin[window] > n_bins:
        electrode.bin[window] = now - n_bins
    while electrode.bin[window] < now:
        electrode.bin[window] += 1
        electrode.charge[window, electrode.bin[window] % n_bins] = 0.0


@inner
def book(guard: Guard, sample: int, channel: int, charge: float) -> None:
    """Count a delivered pulse on one electrode."""
    electrode, times = guard.electrodes[channel], guard.electrode_times
    electrode.last = sample
    times[channel, electrode.n % times.shape[1]] = sample
    electrode.n += 1
    for w in range(electrode.bin.size):
        electrode.charge[w, electrode.bin[w] % electrode.charge.shape[1]] += charge
    electrode.session_charge += charge
    guard.array_times[guard.array_count[0] % guard.array_times.size] = sample
    guard.array_count[0] += 1
