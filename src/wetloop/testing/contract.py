"""What every driver promises, as checks that its author runs; a test of one's own needs three lines.

::

    RIG = contract.Rig(MyRigConfig(port=...))

    @pytest.mark.parametrize("check", contract.checks_for(RIG))
    def test_my_rig_keeps_the_contract(check):
        check(RIG)

Each check builds the driver anew. A check that fails raises ``ContractError`` and says what was promised.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from wetloop.core.clock import wait_until
from wetloop.core.errors import GuardError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.plugin import OwnStimulatorConfig
from wetloop.core.protocols import Stimulator
from wetloop.core.types import Signal
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wetloop.core.guard import PatternTable
    from wetloop.core.plugin import SourceConfig, StimulatorConfig
    from wetloop.core.protocols import Emulator, Source
    from wetloop.core.types import Block, RigInfo
    from wetloop.testing.dish import BenchDish

READ_S = 0.5
ARRIVES_S = 2.0
QUIET_S = 0.1
LOST_S = 10.0


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


def describes_itself_unopened(rig: Rig) -> None:
    """Check that all is known of a source before it is opened, and that building connects nothing."""
    first, second = rig.source.build(1), rig.source.build(1)
    for source in (first, second):
        info = source.info
        require(info.sampling_frequency > 0, "info.sampling_frequency is positive before open")
        require(info.gain_uv.shape == (info.n_channels,), "info.gain_uv has one value per channel")
        require(info.packet_samples >= 1, "info.packet_samples is at least 1")
        require(info.unit in {"mV", "uA"}, "info.unit is mV or uA")
        require(len(info.probe.contact_positions) >= 1, "info.probe has contacts")
    for source in (first, second):
        source.close()


def delivers_in_order(rig: Rig) -> None:
    """Check every block of half a second: follows the one before, of the promised shape and order."""
    with _opened(rig) as source:
        end, seen = None, 0
        for block in _blocks(source, READ_S):
            _require_shape(block, source.info)
            if end is not None:
                require(block.start_sample >= end, f"blocks never go back: {block.start_sample} after {end}")
                gap = block.start_sample - end
                require(block.lost_samples in {0, gap}, f"lost_samples is {block.lost_samples}, the gap is {gap}")
            end, seen = block.start_sample + block.n_samples, seen + 1
        require(seen, f"a source delivers something within {READ_S:g} s")


def closes_whenever_asked(rig: Rig) -> None:
    """Check that a source can be closed unopened, and twice."""
    source = rig.source.build(1)
    source.close()
    source.close()
    with _opened(rig) as again:
        next(_blocks(again, READ_S), None)
        again.close()


def survives_an_unplugged_cable(rig: Rig) -> None:
    """Check that a lost rig is told with ``RigError`` or waited for with empty blocks; nothing is made up."""
    if rig.emulator is None:
        return
    with _opened(rig) as source:
        last = max((b.start_sample + b.n_samples for b in _blocks(source, READ_S)), default=0)
        rig.emulator.unplug()
        end_s = time.monotonic() + LOST_S
        try:
            while time.monotonic() < end_s:
                block = source.read()
                require(not block.n_samples or block.start_sample >= last, "nothing comes twice after a cut")
                last = max(last, block.start_sample + block.n_samples)
        except (RigError, EOFError):
            return


def promises_what_it_can(rig: Rig) -> None:
    """Check that a rig's lead covers its packet, and that it says how many patterns it holds."""
    info = rig.describe()
    least = info.packet_samples + info.frame_samples
    require(info.lead_samples >= least, f"info.lead_samples covers a packet and a frame ({least})")
    require(info.max_patterns >= 1, "info.max_patterns is at least 1")
    require(math.isfinite(info.amplitude_step) and info.amplitude_step >= 0, "info.amplitude_step is finite")


def refuses_too_many_patterns(rig: Rig) -> None:
    """Check that a table larger than the rig is refused before anything is opened."""
    info = rig.describe()
    pattern = rig.table(info).patterns[0]
    with _refusal("a table of more than info.max_patterns is refused"):
        StimGuard(info).prepare({str(k): pattern for k in range(info.max_patterns + 1)})


def delivers_what_it_is_told(rig: Rig) -> None:
    """Check that each triggered pattern reaches the culture once, on its electrodes; after silence none does."""
    with _armed(rig) as armed:
        dish = rig.dish
        before = len(dish.delivered) if dish else 0
        for pattern in range(len(armed.table)):
            armed.stimulator.trigger(pattern, armed.due_sample())
        if dish is not None:
            wait_until(lambda: len(dish.delivered) >= before + len(armed.table), ARRIVES_S)
            told = [pulse.pattern.channels for pulse in dish.delivered[before:]]
            asked = [pattern.channels for pattern in armed.table.patterns]
            require(told == asked, f"triggers of {asked} reach the culture within {ARRIVES_S:g} s, not {told}")
        armed.stimulator.silence()
        after = len(dish.delivered) if dish else 0
        wait_until(lambda: False, QUIET_S)
        require(dish is None or len(dish.delivered) <= after, "nothing is delivered after silence")


def falls_silent_more_than_once(rig: Rig) -> None:
    """Check that silence may come at any time, before the first trigger and again, and close twice."""
    with _armed(rig) as armed:
        armed.stimulator.silence()
        armed.stimulator.silence()
        armed.stimulator.close()
        armed.stimulator.close()


def tells_of_an_unplugged_stimulator(rig: Rig) -> None:
    """Check that a stimulator whose cable is cut is told with ``RigError`` and delivers nothing later."""
    if rig.emulator is None or rig.dish is None:
        return
    with _armed(rig) as armed:
        rig.emulator.unplug()
        before = len(rig.dish.delivered)
        try:
            for _ in range(round(LOST_S / QUIET_S)):
                armed.stimulator.trigger(0, armed.due_sample())
                wait_until(lambda: False, QUIET_S)
        except RigError:
            wait_until(lambda: False, QUIET_S)
            require(len(rig.dish.delivered) == before, "nothing reaches the culture over a cut cable")
            return
    raise ContractError(f"a cut cable is told with RigError within {LOST_S:g} s")


SOURCE_CHECKS = (
    describes_itself_unopened,
    delivers_in_order,
    closes_whenever_asked,
    survives_an_unplugged_cable,
)
STIMULATOR_CHECKS = (
    promises_what_it_can,
    refuses_too_many_patterns,
    delivers_what_it_is_told,
    falls_silent_more_than_once,
    tells_of_an_unplugged_stimulator,
)


def checks_for(rig: Rig) -> tuple[Callable[[Rig], None], ...]:
    """Return the checks that hold for this rig: a separate stimulator's, a source's, or those of both in one."""
    if not isinstance(rig.stimulator, OwnStimulatorConfig):
        return STIMULATOR_CHECKS
    source = rig.source.build(1)
    source.close()
    return SOURCE_CHECKS + (STIMULATOR_CHECKS if isinstance(source, Stimulator) else ())


class _Armed:
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
def _armed(rig: Rig) -> Iterator[_Armed]:
    """Give a stimulator that is ready, with its source being read where that keeps its own time."""
    info = rig.describe()
    table, ended = rig.table(info), threading.Event()
    with ExitStack() as stack:
        if not isinstance(rig.stimulator, OwnStimulatorConfig):
            stimulator = rig.stimulator.build(info)
            stack.callback(stimulator.close)
            stimulator.prepare(table)
            yield _Armed(stimulator, table, info)
            return
        source = stack.enter_context(_opened(rig))
        require(isinstance(source, Stimulator), f"{info.name} is a stimulator")
        armed = _Armed(cast("Stimulator", source), table, info)
        armed.stimulator.prepare(table)
        first = next(_blocks(source, ARRIVES_S))
        armed.newest = first.start_sample + first.n_samples
        if info.real_time:
            reader = threading.Thread(target=armed.follow, args=(source, ended), daemon=True)
            reader.start()
            stack.callback(reader.join)
            stack.callback(ended.set)
        yield armed


@contextmanager
def _opened(rig: Rig) -> Iterator[Source]:
    source = rig.source.build(1)
    try:
        source.open()
        yield source
    finally:
        source.close()


@contextmanager
def _refusal(promise: str) -> Iterator[None]:
    try:
        yield
    except GuardError:
        return
    raise ContractError(promise)


def _blocks(source: Source, duration_s: float) -> Iterator[Block]:
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


def _require_shape(block: Block, info: RigInfo) -> None:
    n_channels = info.n_channels if info.signal is Signal.SAMPLES else 0
    require(1 <= block.n_samples <= info.packet_samples, f"a block has at most {info.packet_samples} samples")
    if n_channels:
        require(block.samples.dtype == np.int16, "samples are int16")
        require(block.samples.shape == (block.n_samples, n_channels), "samples are (n_samples, n_channels)")
        return
    spikes = block.spikes
    require(spikes.dtype == SPIKE, "spikes are of dtype SPIKE")
    known, channels = spikes["known_sample"], spikes["channel_index"]
    inside = (known >= block.start_sample) & (known < block.start_sample + block.n_samples)
    require(inside.all(), "spikes are known within their block")
    require((np.lexsort((channels, known)) == np.arange(len(spikes))).all(), "spikes are in order")
    require(((channels >= 0) & (channels < info.n_channels)).all(), "spikes are on channels that exist")
