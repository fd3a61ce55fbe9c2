"""What ``wetloop doctor`` asks of one session: does it fit its rig, does the rig answer, does the guard refuse."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.cli import doctor_checks as host
from wetloop.cli import doctor_timing as timing
from wetloop.cli.doctor_checks import Check, judged
from wetloop.core.errors import GuardError, RigError, WetloopError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.types import Block, Kind, PatternSet, Priority, Signal, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wetloop.assembly import Setting
    from wetloop.config import SessionConfig
    from wetloop.core.guard import PatternTable
    from wetloop.core.limits import StimLimits
    from wetloop.core.protocols import Source
    from wetloop.core.types import RigInfo

PATIENCE_S = 60.0
"""How long a rig may take to open and deliver one packet, s; a simulated one may have to be compiled first."""
PLENTY = 2.0
"""Sessions that should fit on the disk."""
TRAIN_HZ, TRAIN_S = 1000, 2
"""A train that no electrode and no array may be given: at every frame, for two seconds."""


def examine(config: SessionConfig, folder: Path, seconds: float) -> Iterator[Check]:
    """Yield every check, each as soon as it is made.

    Parameters
    ----------
    config
        The session to be run.
    folder
        Where it would be recorded.
    seconds
        How long to watch the timer, and at most the disk, s.
    """
    yield from (host.cores(), host.preemption(), host.clock_source(), host.governor())
    yield from timing.punctuality(seconds)
    yield from (host.stray_processes(), host.shared_memory(), compiled_code())
    check, known = fit(config)
    yield check
    bytes_per_s = known.bytes_per_s if known else 0.0
    check = timing.writing(folder, seconds, bytes_per_s)
    yield check
    if check.level != "fail":
        yield timing.locking(folder)
        yield disk_space(shutil.disk_usage(folder).free, bytes_per_s, config.duration)
    if known:
        yield handshake(known.source, PATIENCE_S)
        yield guard_before(known.setting.info, known.setting.limits)
        yield guard_during(known.setting.info, known.setting.limits)


def compiled_code() -> Check:
    """Tell whether kernels are compiled already, and whether compiled ones can be kept."""
    from wetloop.kernels.jit import CACHE, compiled

    if CACHE is None:
        remedy = "every session compiles anew, 20 s: make the folder of caches writable, or name one in XDG_CACHE_HOME"
        return Check("compiled kernels", "warn", "no folder can be written", remedy)
    remedy = "the first session compiles for 20 s: run a short one, with --accelerated, before the culture waits"
    return judged(
        "compiled kernels", f"{'in' if compiled() else 'none yet in'} {CACHE}", good=compiled(), remedy=remedy
    )


class Known(NamedTuple):
    """A session that fits its rig: what is known of it, its source, and what it writes per second, uncompressed."""

    setting: Setting
    source: Source
    bytes_per_s: float


def fit(config: SessionConfig) -> tuple[Check, Known | None]:
    """Tell whether the rig can do what the session asks for; return what is known of both, where it can."""
    from wetloop.assembly import describe, players
    from wetloop.cli.dry_run import disk_mb_per_h

    try:
        setting, source = describe(config)
        with players(setting) as parts:
            bytes_per_s = disk_mb_per_h(setting, parts)["together"] * 1e6 / 3600
    except Exception as error:  # noqa: BLE001  (a plug-in may raise anything)
        remedy = "nothing of the rig was checked: correct the configuration, or connect the rig, and ask again"
        return Check("configuration", "fail", _message(error), remedy), None
    info = setting.info
    value = f"{info.name}, {info.n_channels} channels at {info.sampling_frequency:g} Hz, {len(setting.table)} patterns"
    return Check("configuration", "pass", value), Known(setting, source, bytes_per_s)


def disk_space(free_bytes: float, bytes_per_s: float, duration_s: float) -> Check:
    """Tell how long the session could be recorded on what is free; ``bytes_per_s`` is 0 where that is not known."""
    free = f"{free_bytes / 1e9:.3g} GB free"
    if not bytes_per_s:
        return Check("disk space", "skip", f"{free}; how much the session needs is not known")
    sessions = free_bytes / bytes_per_s / duration_s
    return judged(
        "disk space",
        f"{free}: {free_bytes / bytes_per_s / 60:,.0f} min of this session, which lasts {duration_s / 60:.4g}",
        good=sessions >= PLENTY,
        remedy="make room, or record to another disk with --folder or recording.folder",
        otherwise="warn" if sessions >= 1 else "fail",
    )


def handshake(source: Source, patience_s: float) -> Check:
    """Open the source, read a packet, close it; one that does not answer within ``patience_s`` is left behind."""
    outcome: list[Block | Exception] = []

    def shake() -> None:
        try:
            source.open()
            outcome.append(source.read())
        except Exception as error:  # noqa: BLE001  (a plug-in may raise anything)
            outcome.append(error)
        with suppress(Exception):
            source.close()

    worker = threading.Thread(target=shake, name="handshake", daemon=True)
    worker.start()
    worker.join(patience_s)
    answer = outcome[0] if outcome else RigError(f"no packet within {patience_s:g} s")
    if isinstance(answer, Exception):
        remedy = "is the rig switched on, connected, and not in use by another program?"
        return Check("rig handshake", "fail", f"{source.info.name}: {_message(answer)}", remedy)
    what = (
        f"{len(answer.spikes)} spikes" if source.info.signal is Signal.SPIKES else f"{answer.samples.shape[1]} channels"
    )
    value = f"{source.info.name} gave {answer.n_samples} samples from {answer.start_sample} on, {what}"
    return Check("rig handshake", "pass", value)


def guard_before(info: RigInfo, limits: StimLimits) -> Check:
    """Hand patterns to the guard that nobody may deliver: it must refuse every one."""
    guard = StimGuard(info, limits)
    accepted = [name for name, pattern in hostile(info) if not guard.faults(pattern)]
    return judged(
        "guard, before",
        f"accepts a pattern that is {' and one that is '.join(accepted)}" if accepted else "refuses what it must",
        good=not accepted,
        remedy="do not stimulate: set max_amplitude, max_charge_nc and max_imbalance in rig.limits",
        otherwise="fail",
    )


def hostile(info: RigInfo) -> Iterator[tuple[str, Pattern]]:
    """Yield patterns that are refused by every rig whose limits are set."""
    step = info.amplitude_step or 1.0
    yield "far too strong", Pattern(Pulse.balanced(1e6 * step, 200.0, info.unit), (0,))
    yield "far too long", Pattern(Pulse.balanced(1e3 * step, 1e7, info.unit), (0,))
    yield "unbalanced", Pattern(Pulse(-10 * step, 200.0, 5 * step, 200.0, info.unit), (0,))
    yield "on no electrode", Pattern(Pulse.balanced(step, 200.0, info.unit), (info.n_channels,))


def guard_during(info: RigInfo, limits: StimLimits) -> Check:
    """Have an engine without a rig deliver a train that is far too fast: its guard must refuse most of it."""
    name = "guard, during"
    try:
        table = StimGuard(info, limits).prepare({"weak": _weakest(info, limits)})
    except GuardError:
        return Check(name, "pass", "this rig may not stimulate at all")
    try:
        delivered, refused = _overdriven(info, limits, table)
    except GuardError as error:
        return Check(name, "fail", str(error), "correct the limits of the rig or of the session")
    return judged(
        name,
        f"refuses {refused} of {delivered + refused} pulses of a train at {TRAIN_HZ} Hz",
        good=refused > 0,
        remedy="do not stimulate: set min_interval_ms, max_rate_hz and max_array_rate_hz in rig.limits",
        otherwise="fail",
    )


def _overdriven(info: RigInfo, limits: StimLimits, table: PatternTable) -> tuple[int, int]:
    """Return how many pulses of the train an engine delivers and refuses."""
    from wetloop.engine.build import EngineParts, Safety, new_engine, new_rings
    from wetloop.engine.detector import DetectionConfig
    from wetloop.engine.engine import Engine
    from wetloop.kernels.records import ARMED, RUNNING, SPIKE

    info = replace(info, signal=Signal.SPIKES)
    engine = Engine(new_engine(EngineParts(info, table, Safety(limits), DetectionConfig())), new_rings())
    for state in (ARMED, RUNNING):
        engine.change_state(state)
    frame, start = info.frame_samples, info.lead_samples + info.frame_samples
    stop = start + TRAIN_S * TRAIN_HZ * frame
    engine.submit((_train(start, stop, frame),), stop)
    nothing, no_spikes = np.zeros((0, info.n_channels), np.int16), np.zeros(0, SPIKE)
    for at in range(0, stop, frame):
        engine.advance(Block(at, frame, nothing, no_spikes), at + frame)
    fates = engine.fates()["sensory"]
    return fates["delivered"], sum(n for fate, n in fates.items() if fate.startswith("refused"))


def _weakest(info: RigInfo, limits: StimLimits) -> Pattern:
    width_us = min(max(200.0, limits.min_phase_us), limits.max_phase_us)
    channel = next((c for c in range(info.n_channels) if c not in limits.forbidden_channels), 0)
    return Pattern(Pulse.balanced(info.amplitude_step or 1.0, width_us, info.unit), (channel,))


def _train(start: int, stop: int, period_samples: int) -> VoiceSetting:
    return VoiceSetting(
        voice=0,
        patterns=PatternSet(0, 1),
        kind=Kind.SENSORY,
        priority=Priority.SENSORY,
        update=Update.REPLACE,
        timing=Timing.REGULAR,
        start_sample=start,
        stop_sample=stop,
        period_samples=float(period_samples),
    )


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, WetloopError) else f"{type(error).__name__}: {error}"
