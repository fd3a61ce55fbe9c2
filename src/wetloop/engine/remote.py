"""A real-time session's own process: it waits for the engine's windows, and watches the others."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Protocol

from wetloop.core.errors import RigError
from wetloop.engine.engine import RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import (
    Shared,
    control_word,
    now_host_ns,
    set_control_word,
)
from wetloop.engine.rig import NO_SAMPLES
from wetloop.engine.roles import warm_up
from wetloop.engine.waits import wait_position
from wetloop.engine.words import (
    ACCEPTED,
    ARRIVAL,
    ENDED,
    FORWARDED,
    GO,
    HELD_BACK,
    LATE_AT_RIG,
    LATE_BLOCKS,
    ORIGIN,
    POSITION,
    SILENCE,
    STOP,
)
from wetloop.kernels.records import DELIVERED
from wetloop.kernels.rings import DROPPED, ENGINE, STIMULATOR, load_head

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Samples
    from wetloop.engine.arena import Arena
    from wetloop.engine.crew import Crew

LOOK_NS = 100_000_000
"""How often the other processes are looked after while the session waits, ns."""


class Patience(Protocol):
    """What follows while a rig delivers nothing."""

    @property
    def patience_s(self) -> float:
        """How long it may, s."""

    def idle(self, sample: int, silent_s: float) -> None:
        """Be told that nothing has come after ``sample`` for so long; raise to give up."""


class LivePace:
    """Tells how late a decision comes: how much newer than its window the rig's data are by now."""

    def __init__(self, control: npt.NDArray[np.int64], sampling_frequency: float) -> None:
        self._control, self._sampling_frequency = control, sampling_frequency

    def wait(self, sample: int) -> float:
        """Return the lateness, us; there is nothing to wait for, since the rig keeps the time."""
        position, arrival_ns = control_word(self._control, POSITION), control_word(self._control, ARRIVAL)
        behind_us = (position - sample) / self._sampling_frequency * 1e6
        return max(0.0, behind_us + (now_host_ns() - arrival_ns) / 1e3)


def live_facts(shared: Shared, crew: Crew) -> dict[str, Any]:
    """Return what the summary of a real-time session tells, once source and stimulator have ended.

    Late packets, what was dropped and permitted; and where each delivered pulse is: held back, forwarded or unread at
    the stimulator, and of those forwarded: accepted, too late or unread at the rig.
    """
    crew.wait_for("engine", "stimulator", "source")
    words = {
        "late_blocks": LATE_BLOCKS, "pulses_held_back": HELD_BACK, "pulses_forwarded": FORWARDED,
        "triggers_accepted_by_rig": ACCEPTED, "triggers_late_at_rig": LATE_AT_RIG,
    }  # fmt: skip
    unread = {
        "pulses_unread": int((RingReader(shared.rings.pulses, STIMULATOR).take()["fate"] == DELIVERED).sum()),
        "triggers_unread": len(RingReader(shared.triggers, ENGINE).take()),
    }
    rings = {
        "packets": shared.packets.ring, "decisions": shared.decisions, "triggers": shared.triggers,
        "triggered": shared.triggered, "seen": shared.seen,
    }  # fmt: skip
    dropped = {f"dropped_{name}": int(ring.words[DROPPED]) for name, ring in rings.items()}
    counts = {name: control_word(shared.control, word) for name, word in words.items()}
    return counts | unread | dropped | {"rig_clock": _clock_facts(shared), "permissions": dict(crew.reports)}


def pulses_at_rig(shared: Shared) -> tuple[int, int]:
    """Return how many pulses the rig has taken and refused so far."""
    return control_word(shared.control, ACCEPTED), control_word(shared.control, LATE_AT_RIG)


def _clock_facts(shared: Shared) -> dict[str, Any]:
    """Return how the rig's clock ran against the host's, of its newest estimate."""
    newest = shared.clock.slots[(load_head(shared.clock.words) - 1) % shared.clock.slots.size]
    return {name: newest[name].item() for name in ("drift_ppm", "jitter_us", "jumps")}


class LiveHardware:
    """Source, engine, stimulator and recorder in processes of their own, behind the face of a rig's hardware."""

    def __init__(self, arena: Arena, crew: Crew, patience: Patience) -> None:
        self._arena, self._crew, self._patience = arena, crew, patience
        self._control = Shared.of(arena).control
        self._looked_s = 0.0

    def warm_up(self) -> None:
        """Start every process and wait until all kernels are loaded and the rig is open."""
        self._control[ORIGIN] = -1
        wait_position(self._control, 0, 0)
        warm_up(Shared.of(self._arena))
        self._crew.start()

    def open(self) -> None:
        """Do nothing: the source's process has opened the rig."""

    def prepare(self, table: PatternTable) -> None:
        """Do nothing: the source's process has loaded the patterns."""

    def start(self) -> int:
        """Let the rig go, and return its first sample; from here on no collection pauses this process."""
        obtain("session")
        gc.collect()
        gc.freeze()
        gc.disable()
        set_control_word(self._control, GO, now_host_ns())
        patience_s = self._patience.patience_s
        end_s = time.monotonic() + patience_s
        while control_word(self._control, ORIGIN) < 0:
            self._crew.check()
            if time.monotonic() > end_s:
                raise RigError(f"the rig delivered nothing within {patience_s:g} s: is it running?")
            wait_position(self._control, 1, now_host_ns() + LOOK_NS // 100)
        return control_word(self._control, ORIGIN)

    def run_until(self, sample: int) -> None:
        """Wait until the engine is done up to ``sample``."""
        position, moved_s = control_word(self._control, POSITION), time.monotonic()
        if moved_s - self._looked_s > LOOK_NS * 1e-9:
            self._look()
        while position < sample:
            now = wait_position(self._control, sample, now_host_ns() + LOOK_NS)
            if now >= sample:
                return
            self._look()
            if now > position:
                position, moved_s = now, time.monotonic()
            elif control_word(self._control, ENDED):
                raise EOFError
            else:
                self._patience.idle(position, time.monotonic() - moved_s)

    def _look(self) -> None:
        self._crew.check()
        self._looked_s = time.monotonic()

    def samples(self) -> Samples:
        """Return nothing: the recorder's process reads the packets itself."""
        return NO_SAMPLES

    def silence(self) -> None:
        """Let the stimulator's process forward nothing more."""
        set_control_word(self._control, SILENCE, 1)

    def close(self) -> None:
        """End all processes but the recorder, which ends when it has written everything."""
        gc.enable()
        gc.unfreeze()
        set_control_word(self._control, STOP, 1)
