"""All that the engine remembers, as plain arrays: a checkpoint is a copy, equality is a comparison of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.kernels.records import COMMAND, FATES, KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.kernels.detection import Detector
    from wetloop.kernels.rings import Ring

N_VOICES, PENDING, CHARGE_BINS, WINDOWS, KEPT_PULSES = 64, 64, 16, 2, 1024
"""Voices; settings that may wait in each; bins of a charge window; windows (1 s, 1 min); delivered pulses kept."""
REFLEX_VOICE, MEMORY = N_VOICES - 1, 16
"""The voice that plays what a reflex asks for, closed to sessions; numbers that a reflex may remember."""

CORE = np.dtype(
    [
        ("frame", "<i8"), ("lead", "<i8"), ("blank", "<i8"), ("newest", "<i8"), ("frontier", "<i8"),
        ("next_due", "<i8"), ("lease_until", "<i8"), ("serial", "<i8"), ("state", "<i8"), ("lost", "<i8"),
        ("n_delivered", "<i8"), ("overflows", "<i8"), ("refused_second", "<i8"), ("refused", "<i8"),
        ("trip_refused", "<i8"), ("arrival_ns", "<i8"), ("excluded_until", "<i8"),
    ]
)  # fmt: skip
LIMITS = np.dtype(
    [
        ("min_interval", "<i8"), ("rate_window", "<i8"), ("array_window", "<i8"), ("overlap", "<i8"),
        ("max_electrodes", "<i8"),
        ("charge_bin", "<i8", (WINDOWS,)), ("max_charge", "<f8", (WINDOWS,)), ("max_session_charge", "<f8"),
    ]
)  # fmt: skip
VOICE = np.dtype(
    [
        ("on", "<i8"), ("first", "<i4"), ("count", "<i4"), ("kind", "<i4"), ("priority", "<i4"), ("timing", "<i4"),
        ("used", "<i4"), ("start", "<i8"), ("stop", "<i8"), ("next", "<f8"), ("period", "<f8"), ("k", "<i8"),
        ("seed", "<u8"), ("serial", "<i8"), ("pending_first", "<i8"), ("pending_last", "<i8"),
    ]
)  # fmt: skip
DELIVERED_PULSE = np.dtype([("sample_index", "<i8"), ("kind", "<i8")])
"""What blanking and exclusion remember of a pulse."""
EXCLUDED = np.dtype([("start", "<i8"), ("stop", "<i8"), ("kinds", "<i8")])
"""A window after each pulse of these kinds (a bit mask), in samples; ``core.excluded_until`` is the largest stop."""
ELECTRODE = np.dtype(
    [
        ("last", "<i8"), ("n", "<i8"), ("bin", "<i8", (WINDOWS,)), ("charge", "<f8", (WINDOWS, CHARGE_BINS)),
        ("session_charge", "<f8"),
    ]
)  # fmt: skip
LINK = np.dtype([("address", "<i8"), ("first", "<i8"), ("count", "<i8"), ("failures", "<i8")])
"""C address of a reflex (0: none), the patterns it may ask for, and how often it raised or asked for another."""


class Guard(NamedTuple):
    """Dynamic limits and what has been delivered.

    ``electrode_times`` (n_channels, rate) and ``array_times`` (rate,) hold the newest pulses in a ring: a window is
    full exactly when the pulse that a new one would replace still lies in it.
    """

    limits: npt.NDArray[np.void]
    electrodes: npt.NDArray[np.void]
    electrode_times: npt.NDArray[np.int64]
    array_times: npt.NDArray[np.int64]
    array_count: npt.NDArray[np.int64]
    pattern_first: npt.NDArray[np.int64]
    pattern_channels: npt.NDArray[np.int64]
    pattern_charge: npt.NDArray[np.float64]


class Reflex(NamedTuple):
    """The user's reflex.

    ``link`` LINK (1,), whose address holds in one process only; ``counts`` int32 (n_channels,): spikes that became
    known in the running frame, counted only where there is a reflex; ``memory`` float64 (MEMORY,): the reflex's own.
    """

    link: npt.NDArray[np.void]
    counts: npt.NDArray[np.int32]
    memory: npt.NDArray[np.float64]


class EngineState(NamedTuple):
    """All of it.

    ``delivered`` DELIVERED_PULSE (KEPT_PULSES,): the newest pulses in a ring, in order of time; ``exclusion`` EXCLUDED,
    one for each code of ``EXCLUSIONS`` from 1; ``held`` int16 (1 + frame, n_channels): the last clean row, then a
    blanked copy of the span being detected.
    """

    core: npt.NDArray[np.void]
    detector: Detector
    guard: Guard
    voices: npt.NDArray[np.void]
    pending: npt.NDArray[np.void]
    delivered: npt.NDArray[np.void]
    exclusion: npt.NDArray[np.void]
    held: npt.NDArray[np.int16]
    found: npt.NDArray[np.void]
    fates: npt.NDArray[np.int64]
    reflex: Reflex


class Rings(NamedTuple):
    """What leaves and enters the engine: SPIKE, PULSE and BLOCK out, COMMAND in."""

    spikes: Ring
    pulses: Ring
    blocks: Ring
    commands: Ring


def new_voices() -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Return voices that are off and their empty queues of settings."""
    return np.zeros(N_VOICES, VOICE), np.zeros((N_VOICES, PENDING), COMMAND)


def new_fates() -> npt.NDArray[np.int64]:
    """Return the count of pulses by kind and fate, shape (n_kinds, n_fates)."""
    return np.zeros((len(KINDS), len(FATES)), np.int64)


def new_reflex(n_channels: int) -> Reflex:
    """Return the state of an engine without a reflex."""
    return Reflex(np.zeros(1, LINK), np.zeros(n_channels, np.int32), np.zeros(MEMORY))
