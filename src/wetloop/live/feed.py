"""What a viewer is fed with, wherever it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from wetloop.engine.alarm_rows import ALARM

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.live.facts import Facts


NO_ALARMS = np.zeros(0, ALARM)


class Shot(NamedTuple):
    """A grey picture of the game, uint8 (height, width), and how wide it is to be shown over how high."""

    picture: npt.NDArray[np.uint8]
    proportion: float


class Batch(NamedTuple):
    """What happened since the last one; records as the recording has them.

    ``first_sample`` is where the session began, ``now_sample`` how far it is. Where ``anew`` is set, all that was told
    before is to be forgotten: the batch then begins with the session (spikes: with the last seconds).
    """

    first_sample: int
    now_sample: int
    spikes: Records
    pulses: Records
    blocks: Records
    decisions: Records
    shot: Shot | None = None
    alarms: Records = NO_ALARMS
    anew: bool = False


class Health(NamedTuple):
    """How a session is doing.

    ``state`` is the guard's, or "waiting", "ended", "died", "playing", "held". ``late_blocks`` took longer than a
    packet lasts; ``dropped`` counts records that a ring had no room for, by ring, ``lost_samples`` what the rig lost;
    ``held_back`` are pulses that were not forwarded, ``late_at_rig`` those that it could not take in time.
    ``unseen`` are records that this viewer was too slow for. ``lag_s`` is what a power cut would cost, s;
    ``disk_minutes`` how long the disk lasts. None: not known.
    """

    state: str
    late_blocks: int | None = None
    lost_samples: int = 0
    dropped: Mapping[str, int] = {}
    held_back: int = 0
    late_at_rig: int = 0
    silenced: bool = False
    unseen: int = 0
    written_mb: float | None = None
    lag_s: float | None = None
    disk_minutes: float | None = None


class Feed(Protocol):
    """A session as a viewer sees it; called from one thread."""

    @property
    def facts(self) -> Facts | None:
        """The session; None while there is none. Another object means another session."""

    @property
    def arena_name(self) -> str:
        """Shared memory of the running session; empty for a recording."""

    def take(self) -> Batch | None:
        """Return what is new; None without a session."""

    def health(self) -> Health:
        """Return how the session is doing now."""

    def close(self) -> None:
        """Let go of everything."""
