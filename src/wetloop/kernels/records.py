"""Record types of everything that passes through a ring, and the codes that stand in them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Record: TypeAlias = Any
"""One element of a structured array inside compiled code: a view, whose fields are attributes."""

NEVER = np.int64(1) << np.int64(62)

SPIKE = np.dtype(
    [
        ("sample_index", "<i8"), ("known_sample", "<i8"), ("channel_index", "<i4"), ("amplitude_uv", "<f4"),
        ("excluded", "<i8"),
    ]
)  # fmt: skip
"""A detected spike: its peak, when it became known (peak search over), where, and the (negative) peak in uV.

``excluded`` is set by the engine, whatever a source writes there: a code of ``EXCLUSIONS``.
"""

COMMAND = np.dtype(
    [
        ("serial", "<i8"), ("action", "<i4"), ("voice", "<i4"), ("first", "<i4"), ("count", "<i4"), ("kind", "<i4"),
        ("priority", "<i4"), ("update", "<i4"), ("timing", "<i4"), ("start_sample", "<i8"), ("stop_sample", "<i8"),
        ("period_samples", "<f8"), ("seed", "<u8"), ("lease_until", "<i8"),
    ]
)  # fmt: skip
"""What a session or an operator asks of the engine.

Where action is STATE, ``voice`` holds the new state, and ``first`` is 1 where the task is held meanwhile.
"""

PULSE = np.dtype(
    [
        ("sample_index", "<i8"), ("serial", "<i8"), ("pattern", "<i4"), ("voice", "<i4"), ("kind", "<i4"),
        ("priority", "<i4"), ("fate", "<i4"), ("reserved", "<i4"),
    ]
)  # fmt: skip
"""A pulse that was asked for, and what became of it."""

DELIVERY = np.dtype(
    [("sample_index", "<i8"), ("pattern", "<i4"), ("voice", "<i4"), ("serial", "<i8"), ("forwarded_ns", "<i8")]
)
"""A pulse as it was handed to the stimulator, and when."""

BLOCK = np.dtype(
    [
        ("start_sample", "<i8"), ("n_samples", "<i4"), ("lost_samples", "<i4"), ("serial", "<i8"),
        ("newest_sample", "<i8"), ("arrival_ns", "<i8"), ("start_ns", "<i8"), ("done_ns", "<i8"),
        ("n_spikes", "<i4"), ("n_pulses", "<i4"),
    ]
)  # fmt: skip
"""One call of ``advance``: the block, the command in effect, the newest sample the rig had reached, host times."""

VOICE, LEASE, STATE = range(3)
"""Actions of a COMMAND; each renews the lease."""

DISARMED, ARMED, RUNNING, PAUSED, TRIPPED = range(5)
"""States of the guard; pulses are delivered in RUNNING only."""
STATES = ("disarmed", "armed", "running", "paused", "tripped")

(
    DELIVERED, LATE, PREEMPTED, LEASE_EXPIRED, NOT_RUNNING,
    INTERVAL, RATE, ARRAY_RATE, ELECTRODES, CHARGE_SECOND, CHARGE_MINUTE, CHARGE_SESSION,
) = range(12)  # fmt: skip
FATES = (
    "delivered", "late", "preempted", "lease_expired", "not_running",
    "refused_interval", "refused_rate", "refused_array_rate", "refused_electrodes",
    "refused_charge_second", "refused_charge_minute", "refused_charge_session",
)  # fmt: skip
"""What can become of a pulse: delivered, dropped (up to NOT_RUNNING), or refused by the guard."""

EXCLUSIONS = ("counted", "artefact", "evoked")
"""Whether a spike is decoded, or which window after a pulse it fell into."""

KINDS = ("sensory", "predictable", "random", "reflex")
"""Names of ``wetloop.core.types.Kind``."""
