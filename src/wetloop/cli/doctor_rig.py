"""What ``wetloop doctor --rig`` measures over the rig's own wires: packets, clock, round trip and silence.

The first owner of a rig runs this before a culture is on it. The session's patterns are loaded; nothing is delivered.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from wetloop.cli.doctor_checks import Check, judged
from wetloop.cli.doctor_session import fit
from wetloop.cli.spread import Spread, worded_us
from wetloop.core.clock import WallPace
from wetloop.core.errors import WetloopError
from wetloop.core.protocols import Answers, Stimulator
from wetloop.core.rig_clock import RigClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from wetloop.assembly import Setting
    from wetloop.config import SessionConfig
    from wetloop.core.protocols import Source
    from wetloop.core.rig_clock import Estimate

PINGS = 200
SILENCES = 20
DRIFT_PPM = 50.0
"""What a crystal oscillator keeps to; a rig that drifts more has a fault, or another sampling frequency."""
REMEDY_OPEN = "is the rig switched on, connected, and not in use by another program?"


def examine_rig(config: SessionConfig, seconds: float) -> Iterator[Check]:
    """Yield every check of the rig, each as soon as it is made; read packets for ``seconds``."""
    check, known = fit(config)
    yield check
    if known is None:
        return
    setting, source = known.setting, known.source
    with ExitStack() as stack:
        stack.callback(source.close)
        try:
            stimulator = _connected(setting, source, stack)
        except WetloopError as error:
            yield Check("rig opens", "fail", str(error), REMEDY_OPEN)
            return
        yield Check("rig opens", "pass", f"{setting.info.name}, {len(setting.table)} patterns loaded")
        yield from _packets(source, seconds)
        yield from _round_trips(source, stimulator)
        if stimulator is not None:
            yield _timed("silence", SILENCES, stimulator.silence, "time until the rig has taken the command")


def _connected(setting: Setting, source: Source, stack: ExitStack) -> Stimulator | None:
    """Open the source and load the patterns into what stimulates."""
    source.open()
    if not setting.has_own_stimulator:
        device = setting.played.stimulator.build(setting.info)
        stack.callback(device.close)
        device.prepare(setting.table)
        return device
    if isinstance(source, Stimulator):
        source.prepare(setting.table)
        return source
    return None


def _packets(source: Source, seconds: float) -> Iterator[Check]:
    """Follow the rig's clock, and judge what was lost and how evenly packets came."""
    info = source.info
    clock, pace = RigClock(info.sampling_frequency, info.latency_ms), WallPace(info.sampling_frequency)
    arrivals: list[tuple[int, int]] = []
    end: int | None = None
    lost, estimate, stop_s = 0, None, time.monotonic() + seconds
    try:
        while time.monotonic() < stop_s:
            block = source.read()
            if not block.n_samples:
                continue
            lost += 0 if end is None else max(block.lost_samples, block.start_sample - end)
            end = block.start_sample + block.n_samples
            if not info.real_time:
                pace.wait(end)
            arrivals.append((end, time.monotonic_ns()))
            estimate = clock.observe(*arrivals[-1]) or estimate
    except (WetloopError, EOFError) as error:
        yield Check("packets", "fail", f"after {len(arrivals)}: {error}", REMEDY_OPEN)
        return
    if estimate is None:
        yield Check("packets", "fail", f"none within {seconds:g} s", REMEDY_OPEN)
        return
    yield _evenness(arrivals, lost, estimate)
    yield _drift(estimate)


def _evenness(arrivals: list[tuple[int, int]], lost: int, estimate: Estimate) -> Check:
    spread = Spread(_delays_us(arrivals, estimate))
    value = f"{len(arrivals)} packets, {lost} samples lost; behind the quickest: {spread.describe()}"
    remedy = "samples are lost on the way: a faster link, smaller packets, or fewer channels"
    return Check("packets", "pass" if not lost else "fail", value, "" if not lost else remedy, spread)


def _delays_us(arrivals: list[tuple[int, int]], estimate: Estimate) -> npt.NDArray[np.float64]:
    """Return how much later than the quickest each packet came, us, the clock's drift taken out."""
    ends, times_ns = np.array(arrivals, np.int64).T
    late_ns = (times_ns - estimate.host_ns) - (ends - estimate.sample_index) * estimate.sample_ns
    return np.asarray((late_ns - late_ns.min()) / 1000, float)


def _drift(estimate: Estimate) -> Check:
    value = f"{estimate.drift_ppm:+.1f} ppm against this computer, {estimate.jumps} jumps"
    good = abs(estimate.drift_ppm) <= DRIFT_PPM and not estimate.jumps
    remedy = f"more than {DRIFT_PPM:g} ppm: compare the sampling frequency with the rig's own; jumps: check its clock"
    return judged("rig clock", value, good=good, remedy=remedy)


def _round_trips(source: Source, stimulator: Stimulator | None) -> Iterator[Check]:
    devices: dict[str, object] = {"source": source}
    if stimulator is not None and id(stimulator) != id(source):
        devices["stimulator"] = stimulator
    for name, device in devices.items():
        if isinstance(device, Answers):
            yield _timed(f"{name} answers", PINGS, device.ping, "a harmless question and its answer")
        else:
            yield Check(f"{name} answers", "skip", "this driver has no question that could be asked")


def _timed(name: str, times: int, act: Callable[[], None], about: str) -> Check:
    taken_us = []
    try:
        for _ in range(times):
            before_ns = time.monotonic_ns()
            act()
            taken_us.append((time.monotonic_ns() - before_ns) / 1000)
    except WetloopError as error:
        return Check(name, "fail", f"after {len(taken_us)}: {error}", REMEDY_OPEN)
    spread = Spread(np.array(taken_us))
    return Check(name, "pass", f"{about}: {worded_us(spread.percentile_us(50))}; {spread.describe()}", spread=spread)
