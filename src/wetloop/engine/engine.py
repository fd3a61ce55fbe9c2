"""The engine as Python sees it: blocks and commands in, spikes and pulses out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.engine.advance import advance
from wetloop.kernels.borrow import borrowed
from wetloop.kernels.handle import bind
from wetloop.kernels.jit import counted
from wetloop.kernels.records import FATES, KINDS, LEASE, STATE, STATES, VOICE
from wetloop.kernels.rings import (
    DROPPED,
    ENGINE,
    FIRST_TAIL,
    HEAD,
    RECORDER,
    SESSION,
    STIMULATOR,
    TAIL_STEP,
    load_head,
    store_tail,
)

if TYPE_CHECKING:
    from wetloop.core.types import Block, Records, Samples, StimProgram
    from wetloop.kernels.rings import Ring
    from wetloop.kernels.state import EngineState, Rings


class RingReader:
    """One reader's end of a ring; the producer may be another process."""

    def __init__(self, ring: Ring, reader: int) -> None:
        self._words, self._slots, self._reader = ring.words, ring.slots, reader
        self._tail_at, self._quick_words = FIRST_TAIL + TAIL_STEP * reader, ring.words.data

    def take(self) -> Records:
        """Return a copy of what is waiting, and let go of it."""
        tail, rows = self._waiting()
        if len(rows):
            store_tail(self._words, self._reader, tail + len(rows))
        return rows

    def take_before(self, sample: int, field: str) -> Records:
        """Return what is waiting with ``field`` below ``sample``; the rest goes on waiting."""
        tail, rows = self._waiting()
        if len(rows) and rows[field][-1] >= sample:
            rows = rows[: int(np.searchsorted(rows[field], sample))]
        if len(rows):
            store_tail(self._words, self._reader, tail + len(rows))
        return rows

    def _waiting(self) -> tuple[int, Records]:
        """Return the tail and a copy of what is waiting behind it."""
        tail, capacity = self._quick_words[self._tail_at], self._slots.size
        first, n = tail % capacity, load_head(self._words) - tail
        if first + n <= capacity:
            return tail, self._slots[first : first + n].copy()
        return tail, np.concatenate([self._slots[first:], self._slots[: first + n - capacity]])


class Engine:
    """Holds the arrays, numbers the commands, and hands out the readers' ends of the rings."""

    def __init__(self, state: EngineState, rings: Rings) -> None:
        self.state, self.rings, self.serial = state, rings, 0
        self.spikes = RingReader(rings.spikes, SESSION)
        self.recorded_spikes = RingReader(rings.spikes, RECORDER)
        self.pulses = RingReader(rings.pulses, STIMULATOR)
        self.recorded_pulses = RingReader(rings.pulses, RECORDER)
        self.recorded_blocks = RingReader(rings.blocks, RECORDER)
        self.operator_commands: list[tuple[int, ...]] = []
        self._handle = bind(state, rings, 0)

    def handle(self, source: Any) -> Any:
        """Return a handle that binds the engine with a source's state, for compiled stepping."""
        return bind(self.state, self.rings, source)

    def advance(self, block: Block, newest_sample: int) -> None:
        """Take one block; ``newest_sample`` is what the rig has reached."""
        start, n_samples, samples, spikes, lost = block
        advance_block(self._handle, start, n_samples, lost, samples, spikes, newest_sample)

    def submit(self, program: StimProgram, lease_until: int) -> int:
        """Send settings, which the next block takes up, and renew the lease; return their serial."""
        self.serial += 1
        for v in program:
            self._push((
                self.serial, VOICE, v.voice, *v.patterns, v.kind, v.priority, v.update, v.timing,
                v.start_sample, v.stop_sample, v.period_samples, v.seed, lease_until,
            ))  # fmt: skip
        if not program:
            self._push((self.serial, LEASE, *(0,) * 11, lease_until))
        return self.serial

    def change_state(self, state: int) -> int:
        """Send an operator's command (a code of ``records.STATES``); return its serial."""
        self.serial += 1
        row = (self.serial, STATE, state, *(0,) * 10, 0)
        self._push(row)
        self.operator_commands.append(row)
        return self.serial

    def _push(self, row: tuple[Any, ...]) -> None:
        words, slots = self.rings.commands
        head = int(words[HEAD])
        if head - int(words[FIRST_TAIL + TAIL_STEP * ENGINE]) >= slots.size:
            words[DROPPED] += 1
            return
        slots[head % slots.size] = row
        words[HEAD] = head + 1

    @property
    def guard_state(self) -> str:
        """State of the guard's state machine, by name."""
        return STATES[int(self.state.core["state"][0])]

    @property
    def dropped(self) -> dict[str, int]:
        """Records that a ring had no room for, by ring; anything but 0 is a fault."""
        rings = self.rings._asdict().items()
        return {name: int(ring.words[DROPPED]) for name, ring in rings} | {
            "settings": int(self.state.core["overflows"][0])
        }

    def fates(self) -> dict[str, dict[str, int]]:
        """Return the number of pulses by kind and fate."""
        counts = self.state.fates.tolist()
        return {kind: dict(zip(FATES, row, strict=True)) for kind, row in zip(KINDS, counts, strict=True)}


@counted
def advance_block(
    handle: Any, start: int, n_samples: int, lost: int, samples: Samples, spikes: Records, newest: int
) -> None:
    """Unbind the handle and advance."""
    advance(borrowed(handle.engine), borrowed(handle.rings), start, n_samples, lost, samples, spikes, newest)
