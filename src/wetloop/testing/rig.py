"""A rig under test: opened, read and armed as a session does it, with its emulator behind it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.plugin import OwnStimulatorConfig
from wetloop.core.protocols import Stimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.core.guard import PatternTable
    from wetloop.core.plugin import SourceConfig, StimulatorConfig
    from wetloop.core.protocols import Emulator, Source
    from wetloop.core.types import Block, RigInfo
    from wetloop.testing.dish import BenchDish

ARRIVES_S = 2.0
"""How long the first block, or a pulse, may be on its way, s."""


class ContractError(AssertionError):
    """A driver does not keep its contract."""


def require(condition: object, promise: str) -> None:
    """Raise ``ContractError`` with the promise unless the condition holds."""
    if not condition:
        raise ContractError(promise)


@dataclass(frozen=True)
class Rig:
    """A driver under test.

    Attributes
    ----------
    source
        The source's configuration; of a stimulator, that of any source it can stand beside.
    stimulator
        The stimulator's configuration; by default the source stimulates itself, where it can.
    dish, emulator
        What stands behind the wires, where the driver needs them; already started.
    """

    source: SourceConfig
    stimulator: StimulatorConfig = field(default_factory=OwnStimulatorConfig)
    dish: BenchDish | None = None
    emulator: Emulator | None = None

    def describe(self) -> RigInfo:
        """Return the description of the rig as a session sees it."""
        return self.stimulator.describe(self.source.build(1).info)

    def table(self, info: RigInfo) -> PatternTable:
        """Return two patterns that the rig can hold: the first two electrodes that may be stimulated, one each."""
        pulse = typical_pulse(info)
        free = [c for c in range(info.n_channels) if c not in info.limits.forbidden_channels][:2]
        return StimGuard(info).prepare({f"electrode {c}": Pattern(pulse, (c,)) for c in free})


def typical_pulse(info: RigInfo) -> Pulse:
    """Return a biphasic pulse of 200 us well inside the rig's limits: 1 uA or 100 mV, or half of what is permitted."""
    limits = info.limits
    most = limits.max_amplitude_ua if info.unit == "uA" else limits.max_amplitude_mv
    wanted = min(1.0 if info.unit == "uA" else 100.0, most / 2)
    amplitude = max(info.amplitude_step, wanted)
    return Pulse.balanced(amplitude, min(200.0, limits.max_phase_us), info.unit)


class Armed:
    """A stimulator with its patterns loaded; ``due_sample`` lies as far ahead as the rig asks for."""

    def __init__(self, stimulator: Stimulator, table: PatternTable, info: RigInfo) -> None:
        self.stimulator, self.table, self._lead, self.newest = stimulator, table, info.lead_samples, 0

    def due_sample(self) -> int:
        """Return the earliest sample for which a pulse may be asked now."""
        return self.newest + self._lead

    def follow(self, source: Source, ended: threading.Event) -> None:
        """Read until told to end, as a session's source process does."""
        with suppress(RigError, EOFError):
            while not ended.is_set():
                block = source.read()
                self.newest = max(self.newest, block.start_sample + block.n_samples)


@contextmanager
def armed(rig: Rig) -> Iterator[Armed]:
    """Give a stimulator that is ready, with its source being read where that keeps its own time."""
    info = rig.describe()
    table, ended = rig.table(info), threading.Event()
    with ExitStack() as stack:
        if not isinstance(rig.stimulator, OwnStimulatorConfig):
            stimulator = rig.stimulator.build(info)
            stack.callback(stimulator.close)
            stimulator.prepare(table)
            yield Armed(stimulator, table, info)
            return
        source = stack.enter_context(opened(rig))
        require(isinstance(source, Stimulator), f"{info.name} is a stimulator")
        ready = Armed(cast("Stimulator", source), table, info)
        ready.stimulator.prepare(table)
        first = next(blocks(source, ARRIVES_S))
        ready.newest = first.start_sample + first.n_samples
        if info.real_time:
            reader = threading.Thread(target=ready.follow, args=(source, ended), daemon=True)
            reader.start()
            stack.callback(reader.join)
            stack.callback(ended.set)
        yield ready


@contextmanager
def opened(rig: Rig) -> Iterator[Source]:
    """Give an opened source; it is closed at the end."""
    source = rig.source.build(1)
    try:
        source.open()
        yield source
    finally:
        source.close()


def blocks(source: Source, duration_s: float) -> Iterator[Block]:
    """Yield blocks for so long, by the host's clock or by the rig's, whichever is over first."""
    end_s, samples = time.monotonic() + duration_s, duration_s * source.info.sampling_frequency
    while time.monotonic() < end_s and samples > 0:
        try:
            block = source.read()
        except EOFError:
            return
        if block.n_samples:
            samples -= block.n_samples
            yield block
