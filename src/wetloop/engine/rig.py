"""The rig as the session sees it: ticks, spikes and a place to submit programs, whatever stands behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from wetloop.core.errors import GuardError
from wetloop.core.types import Block, SpikeBatch, Tick
from wetloop.engine.continuity import Continuity
from wetloop.kernels.records import ARMED, DELIVERED, DISARMED, RUNNING, SPIKE
from wetloop.kernels.state import REFLEX_VOICE

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from wetloop.core.clock import Pace
    from wetloop.core.guard import PatternTable
    from wetloop.core.protocols import Source, Stimulator
    from wetloop.core.types import Samples, StimProgram
    from wetloop.engine.engine import Engine, EnginePort


class Stepper(Protocol):
    """Moves source and engine forward together."""

    def warm_up(self) -> None:
        """Compile or load everything that a step needs; called before anything is opened."""

    def start(self) -> int:
        """Return the first sample, once the rig is open."""

    def run_until(self, sample: int) -> None:
        """Advance until every frame before ``sample`` is done; raise ``EOFError`` where the source has ended."""

    def samples(self) -> Samples:
        """Return the samples delivered since the last call, (n_samples, n_channels); empty where they are not kept."""


@runtime_checkable
class CompiledSource(Protocol):
    """A source whose state can advance together with the engine in compiled code."""

    def stepper(self, engine: Engine, *, keep_samples: bool) -> Stepper:
        """Return a stepper; delivered pulses go straight from the engine's ring into the source."""


class BlockStepper:
    """Reads blocks one by one: any source and stimulator, at the price of a Python call per block."""

    def __init__(self, engine: Engine, source: Source, stimulator: Stimulator, *, keep_samples: bool) -> None:
        self._engine, self._source, self._stimulator, self._keep = engine, source, stimulator, keep_samples
        self._next = 0
        self._first: Block | None = None
        self._kept: list[Samples] = []
        self._continuity = Continuity()

    def warm_up(self) -> None:
        """Advance over nothing."""
        info = self._source.info
        self._engine.advance(Block(0, 0, np.zeros((0, info.n_channels), np.int16), np.zeros(0, SPIKE)), 0)

    def start(self) -> int:
        """Read the first block, which tells where the rig's clock stands."""
        self._first = self._source.read()
        self._next = self._first.start_sample
        return self._next

    def run_until(self, sample: int) -> None:
        """Read and advance; hand delivered pulses to the stimulator after each block."""
        while self._next < sample:
            block = self._continuity.check(self._first or self._source.read())
            self._first = None
            if block is None:
                continue
            self._next = block.start_sample + block.n_samples
            self._engine.advance(block, self._next)
            if self._keep:
                self._kept.append(block.samples)
            for pulse in self._engine.pulses.take():
                if pulse["fate"] == DELIVERED:
                    self._stimulator.trigger(int(pulse["pattern"]), int(pulse["sample_index"]))

    def samples(self) -> Samples:
        """Return the kept samples, once."""
        kept, self._kept = self._kept, []
        return np.concatenate(kept) if kept else NO_SAMPLES


NO_SAMPLES = np.zeros((0, 0), np.int16)


class Plan(NamedTuple):
    """Samples: the decision, how far ahead of its end programs start, and how long a command keeps the engine alive."""

    decision: int
    ahead: int
    lease: int


class Hardware(Stepper, Protocol):
    """What a rig is made of: opened, loaded with patterns, stepped, silenced and closed, in this order."""

    def open(self) -> None:
        """Connect."""

    def prepare(self, table: PatternTable) -> None:
        """Load the patterns."""

    def silence(self) -> None:
        """Deliver nothing from now on."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class Devices:
    """A source and a stimulator, stepped in compiled code where the source offers it, else block by block."""

    def __init__(self, engine: Engine, source: Source, stimulator: Stimulator, *, keep_samples: bool) -> None:
        self._source, self._stimulator = source, stimulator
        stepper: Stepper = (
            source.stepper(engine, keep_samples=keep_samples)
            if isinstance(source, CompiledSource)
            else BlockStepper(engine, source, stimulator, keep_samples=keep_samples)
        )
        self.warm_up, self.start = stepper.warm_up, stepper.start
        self.run_until, self.samples = stepper.run_until, stepper.samples
        self.prepare, self.silence = stimulator.prepare, stimulator.silence

    def open(self) -> None:
        """Connect the source; the stimulator connects when it is prepared."""
        self._source.open()

    def close(self) -> None:
        """Close both, the stimulator first."""
        self._stimulator.close()
        self._source.close()


class Rig:
    """Source, engine and stimulator behind one face."""

    def __init__(self, engine: EnginePort, hardware: Hardware, table: PatternTable, plan: Plan, pace: Pace) -> None:
        self.engine, self._hardware, self._table, self._plan, self._pace = engine, hardware, table, plan, pace

    def warm_up(self) -> None:
        """Compile or load the kernels, so that nothing is compiled while a culture waits."""
        self._hardware.warm_up()

    def __enter__(self) -> Self:
        """Connect, load the patterns, arm and run."""
        try:
            self._hardware.open()
            self._hardware.prepare(self._table)
        except BaseException:
            self.close()
            raise
        for state in (ARMED, RUNNING):
            self.engine.change_state(state)
        return self

    def __exit__(self, *_: object) -> None:
        """Fall silent, then let go of the hardware, however the session ended."""
        try:
            self.silence()
        finally:
            self.close()

    def ticks(self, n_decisions: int, stop: threading.Event) -> Iterator[Tick]:
        """Advance decision by decision, until ``n_decisions`` are made, ``stop`` is set or the source ends."""
        plan = self._plan
        end = self._hardware.start()
        for index in range(n_decisions):
            start, end = end, end + plan.decision
            try:
                self._hardware.run_until(end)
            except EOFError:
                return
            yield Tick(index, start, end, end + plan.ahead, self._pace.wait(end))
            if stop.is_set():
                return

    @property
    def holding(self) -> bool:
        """Whether a person has paused the session: the task is to be held."""
        return self.engine.holding

    def spikes(self, tick: Tick) -> SpikeBatch:
        """Return the spikes that became known in the tick's window and are not excluded from decoding."""
        spikes = self.engine.spikes.take_before(tick.stop_sample, "known_sample")
        return SpikeBatch(tick.start_sample, tick.stop_sample, spikes[spikes["excluded"] == 0])

    def submit(self, program: StimProgram, tick: Tick) -> int:
        """Check and send a program, and renew the lease; return its serial.

        Raises
        ------
        GuardError
            Where a setting names what was not prepared, or a time or period that is not one.
        """
        for setting in program:
            first, count = setting.patterns
            if not (
                0 <= setting.voice < REFLEX_VOICE
                and 0 <= first < first + count <= len(self._table)
                and 0 <= setting.start_sample <= setting.stop_sample
                and 1.0 <= setting.period_samples < math.inf
            ):
                raise GuardError(self._fault(setting))
        return self.engine.submit(program, tick.stop_sample + self._plan.lease)

    def _fault(self, setting: object) -> str:
        return (
            f"{setting}: refused. A voice is 0 to {REFLEX_VOICE - 1}, patterns are 0 to {len(self._table) - 1}, "
            "0 <= start_sample <= stop_sample, period_samples is finite and at least 1 sample"
        )

    def samples(self) -> Samples:
        """Return the raw samples delivered since the last call; empty where they are not kept."""
        return self._hardware.samples()

    def silence(self) -> None:
        """Stop all stimulation now and disarm."""
        self._hardware.silence()
        self.engine.change_state(DISARMED)

    def close(self) -> None:
        """Let go of the hardware."""
        self._hardware.close()
