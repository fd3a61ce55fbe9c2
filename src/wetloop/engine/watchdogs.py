"""Watchdogs: a silent culture, a storm, drifting noise, a rig that delivers or takes nothing; on the rig's clock.

They look once a second, between decisions, at what the engine has counted. What they want goes through the brake, as
recorded commands, so that a replay needs no watchdog.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from wetloop.core.errors import RigError
from wetloop.engine.alarms import Reading
from wetloop.engine.detector import usable_noise_uv
from wetloop.kernels.rings import DROPPED, load_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from wetloop.core.clock import Pace
    from wetloop.core.types import RigInfo
    from wetloop.engine.alarms import Alarms
    from wetloop.engine.brake import Brake
    from wetloop.engine.engine import EnginePort
    from wetloop.engine.watch_config import (
        LostConfig,
        NoiseConfig,
        Policy,
        RefusedConfig,
        SilentConfig,
        StormConfig,
        WatchConfig,
    )

LOOK_S = 1.0
"""Time between two looks, s of the rig's clock."""


class Activity(NamedTuple):
    """What there is to see: time since the start, s; spikes since then; noise of the usable channels, uV."""

    at_s: float
    n_spikes: int
    noise_uv: npt.NDArray[np.float32]


class Watchdog(Protocol):
    """Looks at one thing."""

    @property
    def name(self) -> str:
        """What it watches."""

    @property
    def policy(self) -> Policy:
        """What follows from an alarm."""

    def look(self, activity: Activity) -> Reading | None:
        """Return what it sees; None while it cannot know."""


class Lasting:
    """A condition that counts once it has lasted ``after_s``, and is over once it has been gone for as long."""

    def __init__(self, after_s: float) -> None:
        self._after_s, self._since_s = after_s, 0.0
        self.holds = False

    def update(self, at_s: float, *, bad: bool) -> bool:
        """Take the condition as it is now; return whether it counts."""
        if bad == self.holds:
            self._since_s = at_s
        elif at_s - self._since_s >= self._after_s:
            self.holds, self._since_s = bad, at_s
        return self.holds


class Silent:
    """Counts the spikes of a sliding window."""

    name = "silent"

    def __init__(self, config: SilentConfig) -> None:
        self._config, self.policy = config, config.policy
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, activity: Activity) -> Reading | None:
        """Compare the rate of the window with the limit."""
        seen, limit_hz = self._seen, self._config.at_most_hz
        seen.append((activity.at_s, activity.n_spikes))
        while len(seen) > 1 and activity.at_s - seen[1][0] >= self._config.after_s:
            seen.popleft()
        span_s = activity.at_s - seen[0][0]
        if span_s < self._config.after_s:
            return None
        rate_hz = (activity.n_spikes - seen[0][1]) / span_s
        bad = rate_hz <= limit_hz
        return Reading(rate_hz, limit_hz, "Hz", bad, f"{rate_hz:.3g} spikes/s over the array in {span_s:.0f} s")


class Storm:
    """Asks of every second whether it is above the limit."""

    name = "storm"

    def __init__(self, config: StormConfig) -> None:
        self._config, self.policy = config, config.policy
        self._lasting = Lasting(config.after_s)
        self._before: tuple[float, int] | None = None

    def look(self, activity: Activity) -> Reading | None:
        """Compare the rate since the last look with the limit."""
        before, self._before = self._before, (activity.at_s, activity.n_spikes)
        if before is None or activity.at_s <= before[0]:
            return None
        span_s, limit_hz = activity.at_s - before[0], self._config.above_hz
        rate_hz = (activity.n_spikes - before[1]) / span_s
        bad = self._lasting.update(activity.at_s, bad=rate_hz > limit_hz)
        said = f"{rate_hz:.0f} spikes/s over the array in the last second"
        return Reading(rate_hz, limit_hz, "Hz", bad, f"{said}, for {self._config.after_s:g} s")


class Noise:
    """Compares each channel's noise with what it was soon after the start."""

    name = "noise"

    def __init__(self, config: NoiseConfig) -> None:
        self._config, self.policy = config, config.policy
        self._lasting = Lasting(config.after_s)
        self._reference_uv: npt.NDArray[np.float32] | None = None

    def look(self, activity: Activity) -> Reading | None:
        """Compare the share of channels that have drifted with the limit."""
        noise_uv, factor = activity.noise_uv, self._config.factor
        if not len(noise_uv) or activity.at_s < self._config.reference_s:
            return None
        if self._reference_uv is None:
            self._reference_uv = noise_uv.copy()
        drifted = (noise_uv > factor * self._reference_uv) | (noise_uv * factor < self._reference_uv)
        share = float(drifted.mean())
        bad = self._lasting.update(activity.at_s, bad=share > self._config.share)
        said = f"noise changed more than {factor:g}-fold on {drifted.sum()} of {len(drifted)} channels"
        return Reading(share, self._config.share, "share of channels", bad, said)


class Refused:
    """Counts, in a sliding window, the pulses that the rig took and refused; ``counts`` tells both since the start."""

    name = "refused"

    def __init__(self, config: RefusedConfig, counts: Callable[[], tuple[int, int]]) -> None:
        self._config, self._counts, self.policy = config, counts, config.policy
        self._seen: deque[tuple[float, int, int]] = deque()

    def look(self, activity: Activity) -> Reading | None:
        """Compare the share of refused pulses in the window with the limit."""
        seen, limit = self._seen, self._config.share
        seen.append((activity.at_s, *self._counts()))
        while len(seen) > 1 and activity.at_s - seen[1][0] >= self._config.after_s:
            seen.popleft()
        (_, taken, refused), (_, taken_now, refused_now) = seen[0], seen[-1]
        n_refused = refused_now - refused
        n = n_refused + taken_now - taken
        if n < self._config.at_least:
            return None
        said = f"the rig took {n - n_refused} of the last {n} pulses: is the stimulator there, and quick enough?"
        return Reading(n_refused / n, limit, "share of pulses", n_refused / n > limit, said)


def watchdogs(config: WatchConfig) -> list[Watchdog]:
    """Return those that look at what the engine has counted."""
    return [Silent(config.silent), Storm(config.storm), Noise(config.noise)]


class Watch:
    """A pace that lets the watchdogs look, and notices when the guard has tripped."""

    def __init__(self, dogs: Sequence[Watchdog], alarms: Alarms, brake: Brake, view: EngineView, pace: Pace) -> None:
        self._dogs, self._alarms, self._brake, self._view, self._pace = dogs, alarms, brake, view, pace
        self._due_sample = 0

    def wait(self, sample: int) -> float:
        """Wait as the pace does, then look around."""
        lateness_us = self._pace.wait(sample)
        self._brake.look(sample)
        if sample >= self._due_sample:
            self._due_sample = sample + self._view.look_samples
            self._look(sample)
        return lateness_us

    def _look(self, sample: int) -> None:
        activity = self._view.activity(sample)
        for dog in self._dogs:
            reading = dog.look(activity)
            if reading is not None and not self._brake.stopped:
                self._alarms.judge(dog.name, dog.policy, reading, sample)


class EngineView:
    """What watchdogs see of an engine, wherever it runs."""

    def __init__(self, engine: EnginePort, info: RigInfo) -> None:
        self._engine, self._info = engine, info
        self.look_samples = round(LOOK_S * info.sampling_frequency)
        self._usable = np.flatnonzero(np.isfinite(info.gain_uv))
        self._first: tuple[int, int] | None = None

    def activity(self, sample: int) -> Activity:
        """Return what there is to see at this sample; the first call is the start."""
        ring = self._engine.rings.spikes
        n_spikes = load_head(ring.words) + int(ring.words[DROPPED])
        self._first = self._first or (sample, n_spikes)
        at_s = (sample - self._first[0]) / self._info.sampling_frequency
        return Activity(at_s, n_spikes - self._first[1], self._noise_uv())

    def _noise_uv(self) -> npt.NDArray[np.float32]:
        return usable_noise_uv(self._engine.planes, self._info.n_channels, self._usable)


class LostSource:
    """Watches a rig that delivers nothing, while the session waits for it; people can still end the session.

    Attributes
    ----------
    patience_s
        How long it may deliver nothing, s.
    """

    name = "lost"

    def __init__(self, config: LostConfig, alarms: Alarms, brake: Brake, heed: Callable[[int], None]) -> None:
        self.policy, self.patience_s = config.policy, config.patience_s
        self._alarms, self._brake, self._heed = alarms, brake, heed
        self._longest_s = 0.0

    def idle(self, sample: int, silent_s: float) -> None:
        """Take note that nothing has come after ``sample`` for so long.

        Raises
        ------
        RigError
            Where the session is given up for it.
        EOFError
            Where somebody has ended the session meanwhile.
        """
        self._heed(sample)
        if self._brake.ending:
            raise EOFError
        self._longest_s = silent_s
        if silent_s <= self.patience_s:
            return
        said = f"the rig delivered nothing for {self.patience_s:g} s after sample {sample}"
        reading = Reading(silent_s, self.patience_s, "s", bad=True, meaning=said)
        self._alarms.judge(self.name, self.policy, reading, sample)
        if self.policy == "stop":
            raise RigError(said)

    def look(self, activity: Activity) -> Reading:  # noqa: ARG002  (part of the protocol)
        """Return that the rig delivers: else nobody would look."""
        said = f"the rig delivers again, after {self._longest_s:.1f} s"
        return Reading(self._longest_s, self.patience_s, "s", bad=False, meaning=said)
