"""Feeds recorded blocks to the engine: the same four inputs, so the same bytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.engine.advance import advance
from wetloop.engine.engine import Engine
from wetloop.engine.rig import NO_SAMPLES
from wetloop.kernels.borrow import borrowed
from wetloop.kernels.jit import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records, Samples, StimProgram
    from wetloop.kernels.state import EngineState, Rings

ROWS_AT_ONCE = 1 << 16
"""Rows of raw samples that are read from the file at once."""


class ReplayedEngine(Engine):
    """An engine whose commands wait until the block at which they took effect when they were recorded.

    Parameters
    ----------
    state, rings
        As for an engine.
    operator_commands
        COMMAND records of what was no decision: they take the serials that they had, and nobody else sends any.
    """

    def __init__(self, state: EngineState, rings: Rings, operator_commands: Records) -> None:
        super().__init__(state, rings)
        self._spoken = {int(row["serial"]): tuple(row.tolist()) for row in operator_commands}
        self._held: deque[tuple[Any, ...]] = deque()
        self._take_operator_commands()

    def submit(self, program: StimProgram, lease_until: int) -> int:
        """Hold a program back; return its serial."""
        serial = super().submit(program, lease_until)
        self._take_operator_commands()
        return serial

    def change_state(self, state: int, *, hold: bool = False) -> int:
        """Do nothing: the recorded operator has spoken."""
        _ = state, hold
        return self.serial

    def release(self, serial: int) -> None:
        """Let everything up to this serial take effect with the next block."""
        due = []
        while self._held and self._held[0][0] <= serial:
            due.append(self._held.popleft())
        super()._send(due)

    def _send(self, rows: list[tuple[Any, ...]]) -> None:
        self._held.extend(rows)

    def _take_operator_commands(self) -> None:
        while self.serial + 1 in self._spoken:
            self.serial += 1
            self._heed(self._spoken[self.serial])
            self._held.append(self._spoken[self.serial])


class RecordedBlocks:
    """The hardware of a replay; what is stimulated goes nowhere.

    Parameters
    ----------
    engine
        Takes the blocks, and each command at the block that it was recorded with.
    blocks
        BLOCK records, in order.
    spikes
        SPIKE records in the order in which they became known; used where there are no samples.
    samples
        int16 (n_samples, n_channels), an array or a dataset on disk; detection runs again where they are given.
    n_sampled
        Blocks from the first on of which there are samples; by default all where samples are given.
    """

    def __init__(
        self, engine: ReplayedEngine, blocks: Records, spikes: Records, samples: Any, n_sampled: int | None = None
    ) -> None:
        self._engine, self._blocks, self._spikes, self._samples = engine, blocks, spikes, samples
        self._n_sampled = 0 if samples is None else len(blocks) if n_sampled is None else n_sampled
        self._stops = blocks["start_sample"] + blocks["n_samples"]
        self._used = 0
        self._handle = engine.handle(0)
        n_channels = len(engine.state.guard.electrodes)
        self._rows: Samples = np.zeros((0, n_channels), np.int16)
        self._rows_from = self._next_row = 0
        self._edges = np.concatenate([[0], np.cumsum(blocks["n_spikes"], dtype=np.int64)])

    def warm_up(self) -> None:
        """Feed nothing."""
        feed(self._handle, self._blocks, self._edges, self._spikes, self._rows, 0, 0, 0, 0)

    def start(self) -> int:
        """Return the first recorded sample."""
        return int(self._blocks["start_sample"][0]) if len(self._blocks) else 0

    def run_until(self, sample: int) -> None:
        """Feed blocks until ``sample`` is reached."""
        last = int(np.searchsorted(self._stops, sample)) + 1
        if last > len(self._blocks):
            raise EOFError
        self._feed(last)

    def finish(self) -> None:
        """Feed what was recorded after the last decision: a source may end within a window."""
        self._feed(len(self._blocks))

    def _feed(self, last: int) -> None:
        if last <= self._used:
            return
        n_rows = int(self._blocks["n_samples"][self._used : min(last, self._n_sampled)].sum())
        if n_rows:
            self._load(self._next_row + n_rows)
        serials = self._blocks["serial"][self._used : last]
        for stop in (*(self._used + 1 + np.flatnonzero(np.diff(serials))).tolist(), last):
            self._engine.release(int(self._blocks["serial"][self._used]))
            feed(
                self._handle, self._blocks, self._edges, self._spikes, self._rows, self._next_row - self._rows_from,
                self._used, stop, self._n_sampled,
            )  # fmt: skip
            self._next_row += int(self._blocks["n_samples"][self._used : stop].sum())
            self._used = stop
        self._engine.pulses.take()

    def _load(self, until: int) -> None:
        if until > self._rows_from + len(self._rows):
            stop = min(max(until, self._next_row + ROWS_AT_ONCE), len(self._samples))
            self._rows = np.ascontiguousarray(self._samples[self._next_row : stop])
            self._rows_from = self._next_row

    def samples(self) -> Samples:
        """Return nothing: a replay is not recorded."""
        return NO_SAMPLES

    def open(self) -> None:
        """Do nothing: the recording is open."""

    def prepare(self, table: PatternTable) -> None:
        """Take the table and forget it."""

    def silence(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: whoever opened the recording closes it."""


@counted
def feed(
    handle: Any,
    blocks: Records,
    edges: npt.NDArray[np.int64],
    spikes: Records,
    samples: Samples,
    row: int,
    first: int,
    last: int,
    n_sampled: int,
) -> None:
    """Advance over the blocks [first, last); those below ``n_sampled`` have samples, from ``row`` on."""
    engine, rings = borrowed(handle.engine), borrowed(handle.rings)
    for k in range(first, last):
        b = blocks[k]
        sampled = k < n_sampled
        stop = row + b.n_samples if sampled else row
        known = edges[k] if sampled else edges[k + 1]
        advance(
            engine, rings, b.start_sample, b.n_samples, b.lost_samples, samples[row:stop], spikes[edges[k] : known],
            b.newest_sample,
        )  # fmt: skip
        row = stop
