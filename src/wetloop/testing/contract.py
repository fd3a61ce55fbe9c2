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
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.clock import wait_until
from wetloop.core.errors import GuardError, LatePulseError, RigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import positions_um
from wetloop.core.plugin import OwnStimulatorConfig
from wetloop.core.protocols import Stimulator, StopButton, StopInput
from wetloop.core.types import Signal
from wetloop.kernels.records import SPIKE
from wetloop.testing.rig import ARRIVES_S, ContractError, Rig, armed, blocks, opened, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wetloop.core.types import Block, RigInfo
    from wetloop.testing.rig import Armed

READ_S = 0.5
QUIET_S = 0.1
LOST_S = 10.0


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
    with opened(rig) as source:
        end, seen = None, 0
        for block in blocks(source, READ_S):
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
    with opened(rig) as again:
        next(blocks(again, READ_S), None)
        again.close()


def survives_an_unplugged_cable(rig: Rig) -> None:
    """Check that a lost rig is told with ``RigError`` or waited for with empty blocks; nothing is made up."""
    if rig.emulator is None:
        return
    with opened(rig) as source:
        last = max((b.start_sample + b.n_samples for b in blocks(source, READ_S)), default=0)
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
    with armed(rig) as ready:
        dish = rig.dish
        before = len(dish.delivered) if dish else 0
        for pattern in range(len(ready.table)):
            _trigger_in_time(ready, pattern)
        if dish is not None:
            wait_until(lambda: len(dish.delivered) >= before + len(ready.table), ARRIVES_S)
            told = [pulse.pattern.channels for pulse in dish.delivered[before:]]
            electrodes = _electrodes(rig.describe(), dish.info)
            asked = [tuple(electrodes[c] for c in pattern.channels) for pattern in ready.table.patterns]
            require(told == asked, f"triggers of {asked} reach the culture within {ARRIVES_S:g} s, not {told}")
        ready.stimulator.silence()
        after = list(dish.delivered) if dish else []
        wait_until(lambda: False, QUIET_S)
        later = [pulse for pulse in dish.delivered if pulse not in after] if dish else []
        require(not later, f"nothing is delivered after silence, not {later}")


def falls_silent_more_than_once(rig: Rig) -> None:
    """Check that silence may come at any time, before the first trigger and again, and close twice."""
    with armed(rig) as ready:
        ready.stimulator.silence()
        ready.stimulator.silence()
        ready.stimulator.close()
        ready.stimulator.close()


def tells_of_an_unplugged_stimulator(rig: Rig) -> None:
    """Check that a stimulator whose cable is cut is told with ``RigError`` and delivers nothing later."""
    if rig.emulator is None or rig.dish is None:
        return
    with armed(rig) as ready:
        rig.emulator.unplug()
        before = len(rig.dish.delivered)
        try:
            for _ in range(round(LOST_S / QUIET_S)):
                ready.stimulator.trigger(0, ready.due_sample())
                wait_until(lambda: False, QUIET_S)
        except RigError:
            wait_until(lambda: False, QUIET_S)
            require(len(rig.dish.delivered) == before, "nothing reaches the culture over a cut cable")
            return
    raise ContractError(f"a cut cable is told with RigError within {LOST_S:g} s")


def hears_its_stop_input(rig: Rig) -> None:
    """Check that an emergency stop that is wired is heard when it is pressed, and not before."""
    with armed(rig) as ready:
        stimulator = ready.stimulator
        button: object = rig.emulator
        if not isinstance(stimulator, StopInput) or stimulator.stop_asked() is None:
            return
        require(not stimulator.stop_asked(), "a stop input that nobody has raised asks for nothing")
        if isinstance(button, StopButton):
            button.press_stop()
            require(wait_until(lambda: bool(stimulator.stop_asked()), ARRIVES_S), "a raised stop input is heard")


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
    hears_its_stop_input,
)


def checks_for(rig: Rig) -> tuple[Callable[[Rig], None], ...]:
    """Return the checks that hold for this rig: a separate stimulator's, a source's, or those of both in one."""
    if not isinstance(rig.stimulator, OwnStimulatorConfig):
        return STIMULATOR_CHECKS
    source = rig.source.build(1)
    source.close()
    return SOURCE_CHECKS + (STIMULATOR_CHECKS if isinstance(source, Stimulator) else ())


@contextmanager
def _refusal(promise: str) -> Iterator[None]:
    try:
        yield
    except GuardError:
        return
    raise ContractError(promise)


def _trigger_in_time(ready: Armed, pattern: int) -> None:
    """Ask for a pattern anew until it is not too late: to refuse what is late is right, to refuse everything is not."""
    end_s = time.monotonic() + ARRIVES_S
    while True:
        try:
            ready.stimulator.trigger(pattern, ready.due_sample())
        except LatePulseError as error:
            require(time.monotonic() < end_s, f"a trigger is accepted within {ARRIVES_S:g} s: {error}")
        else:
            return


def _electrodes(info: RigInfo, dish: RigInfo) -> list[int]:
    """Return the dish's channel nearest to where the rig says that each of its own is."""
    apart = positions_um(info.probe)[:, None] - positions_um(dish.probe)[None]
    nearest: list[int] = np.linalg.norm(apart, axis=2).argmin(axis=1).tolist()
    return nearest


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
