"""A running session, seen through its shared memory: an observer that may be lapped, and that nobody waits for."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.errors import RigError
from wetloop.engine.alarm_rows import ALARM
from wetloop.engine.arena import Arena, segments
from wetloop.engine.live import Shared, control_word, now_host_ns
from wetloop.engine.words import BEAT, HELD_BACK, LATE_AT_RIG, LATE_BLOCKS, ORIGIN, POSITION, SILENCE, STOP
from wetloop.kernels.records import BLOCK, PULSE, SPIKE, STATES
from wetloop.kernels.rings import DROPPED, new_ring, observe
from wetloop.live.facts import Facts
from wetloop.live.feed import Batch, Health, Shot
from wetloop.recording.notice import NOTICE, read_notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.core.types import Records
    from wetloop.kernels.rings import Ring

AT_ONCE = 4096
"""Records that are copied out of a ring at once."""
DEAD_NS = 5_000_000_000
"""An engine that was not heard of for this long is taken for dead."""
LOOK_NS = 500_000_000
"""How often a viewer without a session looks for one."""
TRIES = 5
"""How often a session is looked at that cannot be shown: mapping its memory is not free."""
STEADY_S = 5.0
"""Recording time from which the rate of writing is worth extrapolating."""


class Observer:
    """Reads a ring without being one of its readers.

    Attributes
    ----------
    lost
        Records that were overwritten before they were seen.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring, self._cursor, self.lost = ring, 0, 0
        self._copies = np.zeros(min(AT_ONCE, ring.slots.size), ring.slots.dtype)

    def take(self) -> Records:
        """Return copies of what came since the last call, as far as it is still there."""
        parts = []
        while True:
            n, self._cursor, lost = observe(self._ring, self._cursor, self._copies)
            self.lost += lost
            parts.append(self._copies[:n].copy())
            if n < len(self._copies):
                return np.concatenate(parts) if len(parts) > 1 else parts[0]


class ArenaFeed:
    """One running session."""

    def __init__(self, arena: Arena, texts: Mapping[str, str]) -> None:
        self.arena_name, self.facts = arena.name, Facts.of_notice(texts)
        self._shared = Shared.of(arena)
        shared, rings = self._shared, self._shared.rings
        self._decisions, self._pulses = Observer(shared.decisions), Observer(rings.pulses)
        self._blocks, self._spikes = Observer(rings.blocks), Observer(rings.spikes)
        self._frames, self._alarms = Observer(shared.frames), Observer(shared.alarms)
        self._fresh = True
        self._folder = Path(self.facts.file).parent

    @cached_property
    def _counted_rings(self) -> dict[str, Ring]:
        shared = self._shared
        return {
            "spikes": shared.rings.spikes, "pulses": shared.rings.pulses, "blocks": shared.rings.blocks,
            "commands": shared.rings.commands, "packets": shared.packets.ring, "decisions": shared.decisions,
            "triggers": shared.triggers, "frames": shared.frames,
        }  # fmt: skip

    def take(self) -> Batch:
        """Return what is new, at first all that the rings still hold."""
        anew, self._fresh = self._fresh, False
        first = self._first()
        return Batch(
            first_sample=first,
            now_sample=max(control_word(self._shared.control, POSITION), first),
            decisions=self._decisions.take(),
            pulses=self._pulses.take(),
            blocks=self._blocks.take(),
            spikes=self._spikes.take(),
            shot=self._shot(),
            alarms=self._alarms.take(),
            anew=anew,
        )

    def _first(self) -> int:
        return max(0, control_word(self._shared.control, ORIGIN))

    def _shot(self) -> Shot | None:
        if not self.facts.pictured:
            return None
        rows = self._frames.take()[-1:]
        return Shot(rows["frame"][0], float(rows["source_width"][0] / rows["source_height"][0])) if len(rows) else None

    @property
    def over(self) -> bool:
        """Whether the session has ended, or nothing is heard of it any more."""
        return self._state() in {"ended", "died"}

    def _state(self) -> str:
        control = self._shared.control
        if control_word(control, STOP):
            return "ended"
        beat_ns = control_word(control, BEAT)
        if control_word(control, ORIGIN) < 0 or not beat_ns:
            return "starting"
        if now_host_ns() - beat_ns > DEAD_NS:
            return "died"
        return STATES[int(self._shared.records.core["state"][0])]

    def health(self) -> Health:
        """Return how the session is doing."""
        control, observers = self._shared.control, (self._decisions, self._pulses, self._blocks, self._spikes)
        recorder = self._shared.health[0]
        position = control_word(control, POSITION)
        acknowledged, n_bytes = int(recorder["acknowledged_sample"]), int(recorder["bytes"])
        elapsed_s = (position - self._first()) / self.facts.sampling_frequency
        return Health(
            state=self._state(),
            late_blocks=control_word(control, LATE_BLOCKS),
            lost_samples=int(self._shared.records.core["lost"][0]),
            dropped={name: int(ring.words[DROPPED]) for name, ring in self._counted_rings.items()},
            held_back=control_word(control, HELD_BACK),
            late_at_rig=control_word(control, LATE_AT_RIG),
            silenced=control_word(control, SILENCE) != 0,
            unseen=sum(observer.lost for observer in observers),
            written_mb=n_bytes / 1e6,
            lag_s=(position - acknowledged) / self.facts.sampling_frequency if acknowledged > 0 else None,
            disk_minutes=self._disk_minutes(n_bytes, elapsed_s),
        )

    def _disk_minutes(self, n_bytes: int, elapsed_s: float) -> float | None:
        """Return how long the disk lasts at the mean rate so far, minutes."""
        if elapsed_s < STEADY_S or not n_bytes:
            return None
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize / (n_bytes / elapsed_s) / 60


class LatestSession:
    """The session that runs on this machine, and after it the next one.

    Parameters
    ----------
    name
        Follow only the session whose shared memory is called so.
    note
        Follow only sessions whose shared memory this file names, JSON with the key ``arena``: those of one server.
    """

    def __init__(self, name: str | None = None, note: Path | None = None) -> None:
        _load_kernels()
        self._note = note
        self._name, self._feed = name, None if name is None else attach(name)
        self._past: Facts | None = None
        self._last = Health("waiting")
        self._looked_ns, self._refused = 0, Counter[str]()

    @property
    def facts(self) -> Facts | None:
        """The session that is shown."""
        return self._past if self._feed is None else self._feed.facts

    @property
    def arena_name(self) -> str:
        """Shared memory of the session that is shown."""
        return "" if self._feed is None else self._feed.arena_name

    def take(self) -> Batch | None:
        """Return what is new; what was shown last stays until there is another session."""
        if self._feed is None:
            self._look()
            return None if self._feed is None else self._feed.take()
        over, batch = self._feed.over, self._feed.take()
        if over:
            self._let_go(self._feed)
        return batch

    def health(self) -> Health:
        """Return how the session is doing."""
        return self._last if self._feed is None else self._feed.health()

    def close(self) -> None:
        """Let go of the session."""
        self._feed = None

    def _let_go(self, feed: ArenaFeed) -> None:
        """Keep what is shown of a session that is over, not its memory: nobody may take it for one that lives."""
        self._past, self._last, self._feed = feed.facts, feed.health(), None

    def _look(self) -> None:
        if self._name is not None or now_host_ns() - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now_host_ns()
        noted = None if self._note is None else _noted(self._note)
        for segment in segments():
            if segment.stale or noted not in {None, segment.name} or self._refused[segment.name] >= TRIES:
                continue
            self._feed = _running(segment.name)
            if self._feed is not None:
                return
            self._refused[segment.name] += 1


def running() -> dict[str, Facts]:
    """Return what the sessions are that run on this machine, by the name of their memory."""
    found = {segment.name: _running(segment.name) for segment in segments() if not segment.stale}
    return {name: feed.facts for name, feed in found.items() if feed is not None}


def _noted(note: Path) -> str:
    """Return the name that a server's note tells; empty where it tells none."""
    try:
        return str(json.loads(note.read_bytes())["arena"])
    except (OSError, ValueError, KeyError):
        return ""


def _running(name: str) -> ArenaFeed | None:
    try:
        found = attach(name)
    except RigError:
        return None
    return None if found.over else found


def _load_kernels() -> None:
    """Load what reads the rings before anybody waits for it; shared memory is read only."""
    for dtype in (SPIKE, PULSE, BLOCK, ALARM):
        ring = new_ring(dtype, 1)
        for array in ring:
            array.setflags(write=False)
        Observer(ring).take()


def attach(name: str) -> ArenaFeed:
    """Return the running session with this name.

    Raises
    ------
    RigError
        Where there is none, or it does not yet say what it is.
    """
    arena = Arena.attach(name, writable=False)
    texts = read_notice(arena.arrays[NOTICE]) if NOTICE in arena.arrays else None
    if texts is None:
        raise RigError(f"session {name} does not say what it is: it is starting, or of another version of Wetloop")
    try:
        return ArenaFeed(arena, texts)
    except KeyError as missing:
        raise RigError(f"session {name} is of another version of Wetloop: it has no {missing}") from None
