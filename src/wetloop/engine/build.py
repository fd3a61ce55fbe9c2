"""Turns what a session was configured with into the arrays of the engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from wetloop.core.errors import GuardError
from wetloop.core.types import Signal
from wetloop.engine.detector import new_detector
from wetloop.engine.exclusion import ExclusionConfig
from wetloop.kernels.records import BLOCK, COMMAND, NEVER, PULSE, SPIKE
from wetloop.kernels.rings import ENGINE, RECORDER, SESSION, STIMULATOR, new_ring
from wetloop.kernels.state import (
    CHARGE_BINS,
    CORE,
    DELIVERED_PULSE,
    ELECTRODE,
    KEPT_PULSES,
    LIMITS,
    EngineState,
    Guard,
    Rings,
    new_fates,
    new_reflex,
    new_voices,
)

if TYPE_CHECKING:
    from wetloop.core.guard import PatternTable
    from wetloop.core.limits import StimLimits
    from wetloop.core.types import RigInfo
    from wetloop.engine.detector import DetectionConfig
    from wetloop.engine.engine import Engine
    from wetloop.engine.reflex import ReflexCode, Wiring

    E = TypeVar("E", bound=Engine)

MOST_TIMES = 1 << 16
"""Entries of the ring of pulse times where a rate is not limited (it then only serves the electrodes-at-once limit)."""


class Safety(NamedTuple):
    """Resolved limits, and how many refusals within one second trip the guard (0: any number is only counted)."""

    limits: StimLimits
    trip_refused_per_s: int = 0


class ReflexParts(NamedTuple):
    """A reflex, and what it is connected to."""

    code: ReflexCode
    wiring: Wiring


class EngineParts(NamedTuple):
    """What an engine is built from; crosses to the engine's process."""

    info: RigInfo
    table: PatternTable
    safety: Safety
    detection: DetectionConfig
    reflex: ReflexParts | None = None
    exclusion: ExclusionConfig = ExclusionConfig()

    def connected(self, engine: E) -> E:
        """Compile, rehearse and attach the reflex, if there is one."""
        if self.reflex is not None:
            from wetloop.engine.reflex import compile_reflex

            engine.attach(compile_reflex(*self.reflex))
        return engine


def new_engine(parts: EngineParts) -> EngineState:
    """Return an engine at sample 0, disarmed, not yet connected to its reflex."""
    info, table, safety, detection, _, exclusion = parts
    core, windows = np.zeros(1, CORE), exclusion.windows(info)
    core["frame"], core["lead"], core["blank"] = info.frame_samples, info.lead_samples, info.samples(detection.blank_ms)
    core["frontier"], core["trip_refused"] = info.lead_samples, safety.trip_refused_per_s
    core["excluded_until"] = windows["stop"].max()
    gain = info.gain_uv if info.signal is Signal.SAMPLES else info.gain_uv[:0]
    voices, pending = new_voices()
    return EngineState(
        core=core,
        detector=new_detector(info.sampling_frequency, gain, detection),
        guard=new_guard(info, table, safety.limits),
        voices=voices,
        pending=pending,
        delivered=np.zeros(KEPT_PULSES, DELIVERED_PULSE),
        exclusion=windows,
        held=np.zeros((1 + info.frame_samples, len(gain)), np.int16),
        found=np.zeros(max(1, len(gain)) * 2, SPIKE),
        fates=new_fates(),
        reflex=new_reflex(info.n_channels),
    )


def new_guard(info: RigInfo, table: PatternTable, limits: StimLimits) -> Guard:
    """Return the guard's limits in samples, with nothing delivered yet."""
    second = round(info.sampling_frequency)
    durations = [pattern.pulse.duration_us for _, pattern in table]
    row = np.zeros(1, LIMITS)
    row["min_interval"] = math.ceil(limits.min_interval_ms * info.sampling_frequency / 1000)
    row["rate_window"] = second if math.isfinite(limits.max_rate_hz) else 0
    row["array_window"] = second if math.isfinite(limits.max_array_rate_hz) else 0
    row["overlap"] = math.ceil(max(durations, default=0.0) * info.sampling_frequency / 1e6)
    row["max_electrodes"] = min(limits.max_electrodes, info.n_channels)
    row["charge_bin"] = [math.ceil(length / (CHARGE_BINS - 1)) for length in (second, 60 * second)]
    row["max_charge"] = [limits.max_charge_nc_per_s, limits.max_charge_nc_per_min]
    row["max_session_charge"] = limits.max_charge_nc_per_session
    electrodes = np.zeros(info.n_channels, ELECTRODE)
    electrodes["last"] = -NEVER
    counts = [len(pattern.channels) for _, pattern in table]
    channels = [channel for _, pattern in table for channel in pattern.channels]
    per_electrode = _entries("max_rate_hz", limits.max_rate_hz, 1)
    array = _entries("max_array_rate_hz", limits.max_array_rate_hz, MOST_TIMES)
    return Guard(
        limits=row,
        electrodes=electrodes,
        electrode_times=np.full((info.n_channels, per_electrode), -NEVER, np.int64),
        array_times=np.full(array, -NEVER, np.int64),
        array_count=np.zeros(1, np.int64),
        pattern_first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        pattern_channels=np.array(channels, np.int64),
        pattern_charge=table.charge_nc,
    )


def _entries(name: str, rate_hz: float, unlimited: int) -> int:
    if not math.isfinite(rate_hz):
        return unlimited
    if not 1 <= rate_hz <= MOST_TIMES:
        raise GuardError(
            f"{name} {rate_hz:g} Hz is outside 1 to {MOST_TIMES} Hz: "
            "list an electrode in forbidden_channels to switch it off"
        )
    return math.floor(rate_hz)


def new_rings() -> Rings:
    """Return the engine's rings in ordinary memory, large enough for a minute between two looks of the recorder."""
    return Rings(
        spikes=new_ring(SPIKE, 1 << 17, SESSION, RECORDER),
        pulses=new_ring(PULSE, 1 << 14, STIMULATOR, RECORDER),
        blocks=new_ring(BLOCK, 1 << 16, RECORDER),
        commands=new_ring(COMMAND, 1 << 12, ENGINE),
    )
