"""The engine as Python sees it: blocks and commands in, spikes and pulses out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.advance import advance
from wetloop.kernels.borrow import borrowed
from wetloop.kernels.handle import bind
from wetloop.kernels.jit import counted
from wetloop.kernels.records import COMMAND, FATES, KINDS, LEASE, STATE, STATES, VOICE
from wetloop.kernels.rings import (
    DROPPED,
    ENGINE,
    FIRST_TAIL,
    HEAD,
    RECORDER,
    SESSION,
    STIMULATOR,
    TAIL_STEP,
    commit_slots,
    load_head,
    new_ring,
    put,
    store_tail,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.types import Block, Records, Samples, StimProgram
    from wetloop.engine.reflex import CompiledReflex
    from wetloop.kernels.rings import Ring
    from wetloop.kernels.state import EngineState, Rings


class RingReader:
    """One reader's end of a ring; the producer may be another process."""

    def __init__(self, ring: Ring, reader: int) -> None:
        self._words, self._slots, self._reader = ring.words, ring.slots, reader
        self._tail_at, self._quick_words = FIRST_TAIL + TAIL_STEP * reader, ring.words.data

    @property
    def fill(self) -> float:
        """Share of the ring that waits to be read."""
        return float(self._quick_words[HEAD] - self._quick_words[self._tail_at]) / self._slots.size

    def take(self) -> Records:
        """Return a copy of what is waiting, and let go of it."""
        rows = self.peek()
        self.release(len(rows))
        return rows

    def take_before(self, sample: int, field: str) -> Records:
        """Return what is waiting with ``field`` below ``sample``; the rest goes on waiting."""
        rows = self.peek()
        if len(rows) and rows[field][-1] >= sample:
            rows = rows[: int(np.searchsorted(rows[field], sample))]
        self.release(len(rows))
        return rows

    def peek(self) -> Records:
        """Return a copy of what is waiting, which goes on waiting."""
        tail, capacity = self._quick_words[self._tail_at], self._slots.size
        first, n = tail % capacity, load_head(self._words) - tail
        if first + n <= capacity:
            return self._slots[first : first + n].copy()
        return np.concatenate([self._slots[first:], self._slots[: first + n - capacity]])

    def release(self, n: int) -> None:
        """Let go of the first ``n`` that are waiting."""
        if n:
            store_tail(self._words, self._reader, self._quick_words[self._tail_at] + n)


class EngineRecords(NamedTuple):
    """What tells how an engine is doing.

    CORE (1,), pulses by kind and fate int64 (n_kinds, n_fates), LINK (1,), and the planes of its detector.
    """

    core: Records
    fates: npt.NDArray[np.int64]
    link: Records
    planes: npt.NDArray[np.float32]


class EnginePort:
    """The session's side of an engine, wherever it runs: numbers the commands, reads the rings.

    Parameters
    ----------
    records
        The engine's own, or a shared view of them.
    rings
        What leaves and enters the engine.
    operator
        Where commands that are no decision are kept for the recorder; by default in ordinary memory.

    Attributes
    ----------
    serial
        Of the newest command.
    holding
        Whether a person has paused the session: the task is to be held.
    """

    def __init__(self, records: EngineRecords, rings: Rings, operator: Ring | None = None) -> None:
        self._records, self.rings, self.serial = records, rings, 0
        self.holding = False
        self.spikes = RingReader(rings.spikes, SESSION)
        self.recorded_spikes = RingReader(rings.spikes, RECORDER)
        self.pulses = RingReader(rings.pulses, STIMULATOR)
        self.recorded_pulses = RingReader(rings.pulses, RECORDER)
        self.recorded_blocks = RingReader(rings.blocks, RECORDER)
        self._operator = new_ring(COMMAND, 256, RECORDER) if operator is None else operator
        self.recorded_operator = RingReader(self._operator, RECORDER)

    def submit(self, program: StimProgram, lease_until: int) -> int:
        """Send settings, which the next block takes up, and renew the lease; return their serial."""
        self.serial += 1
        self._send([
            (
                self.serial, VOICE, v.voice, *v.patterns, v.kind, v.priority, v.update, v.timing,
                v.start_sample, v.stop_sample, v.period_samples, v.seed, lease_until,
            )
            for v in program
        ] or [(self.serial, LEASE, *(0,) * 11, lease_until)])  # fmt: skip
        return self.serial

    def change_state(self, state: int, *, hold: bool = False) -> int:
        """Send an operator's command (a code of ``records.STATES``), with the task held or not; return its serial."""
        self.serial += 1
        row = (self.serial, STATE, state, int(hold), *(0,) * 9, 0)
        self._heed(row)
        self._send([row])
        put(self._operator, row)
        return self.serial

    def _heed(self, row: tuple[Any, ...]) -> None:
        """Take note of whether a command about the state holds the task."""
        self.holding = bool(row[3])

    def _send(self, rows: list[tuple[Any, ...]]) -> None:
        """Show the engine all rows of one serial at once, or none: a block is recorded with the newest serial only."""
        words, slots = self.rings.commands
        head = int(words[HEAD])
        if head + len(rows) - int(words[FIRST_TAIL + TAIL_STEP * ENGINE]) > slots.size:
            words[DROPPED] += len(rows)
            return
        for k, row in enumerate(rows):
            slots[(head + k) % slots.size] = row
        commit_slots(words, len(rows))

    @property
    def guard_state(self) -> str:
        """State of the guard's state machine, by name."""
        return STATES[int(self._records.core["state"][0])]

    @property
    def planes(self) -> npt.NDArray[np.float32]:
        """Planes of the detector, as ``kernels.detection.Detector`` has them; empty where the rig gives spikes."""
        return self._records.planes

    @property
    def lost_samples(self) -> int:
        """Samples that the rig lost so far."""
        return int(self._records.core["lost"][0])

    @property
    def dropped(self) -> dict[str, int]:
        """Records that a ring had no room for, by ring, and what else was lost; anything but 0 is a fault."""
        rings = self.rings._asdict().items()
        return {name: int(ring.words[DROPPED]) for name, ring in rings} | {
            "settings": int(self._records.core["overflows"][0]),
            "reflex failures": int(self._records.link["failures"][0]),
        }

    def fates(self) -> dict[str, dict[str, int]]:
        """Return the number of pulses by kind and fate."""
        counts = self._records.fates.tolist()
        return {kind: dict(zip(FATES, row, strict=True)) for kind, row in zip(KINDS, counts, strict=True)}


class Engine(EnginePort):
    """An engine in this process: blocks in."""

    def __init__(self, state: EngineState, rings: Rings) -> None:
        super().__init__(EngineRecords(state.core, state.fates, state.reflex.link, state.detector.planes), rings)
        self.state = state
        self._handle = bind(state, rings, 0)
        self._reflex: CompiledReflex | None = None

    def attach(self, reflex: CompiledReflex) -> None:
        """Call this reflex at the end of every frame from the next block on."""
        self._reflex = reflex
        reflex.connect(self.state.reflex)

    def handle(self, source: Any) -> Any:
        """Return a handle that binds the engine with a source's state, for compiled stepping."""
        return bind(self.state, self.rings, source)

    def advance(self, block: Block, newest_sample: int) -> None:
        """Take one block; ``newest_sample`` is what the rig has reached."""
        start, n_samples, samples, spikes, lost = block
        advance_block(self._handle, start, n_samples, lost, samples, spikes, newest_sample)


@counted
def advance_block(
    handle: Any, start: int, n_samples: int, lost: int, samples: Samples, spikes: Records, newest: int
) -> None:
    """Unbind the handle and advance."""
    advance(borrowed(handle.engine), borrowed(handle.rings), start, n_samples, lost, samples, spikes, newest)
