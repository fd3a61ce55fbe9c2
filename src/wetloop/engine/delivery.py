"""Hands pulses to a stimulator that keeps no agenda of its own: each when its sample is due, none late."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from wetloop.core.errors import LatePulseError
from wetloop.core.protocols import StopInput
from wetloop.core.rig_clock import Estimate
from wetloop.core.rig_pulses import REFUSED, TAKEN
from wetloop.engine.emergency import ask_to_stop
from wetloop.engine.engine import RingReader
from wetloop.engine.host import obtain
from wetloop.engine.live import control_word, now_host_ns, set_control_word
from wetloop.engine.waits import wait_stop, wait_trigger
from wetloop.engine.words import ACCEPTED, LATE_AT_RIG, SILENCE, SILENCED
from wetloop.kernels.rings import ENGINE, load_head, put

if TYPE_CHECKING:
    from wetloop.core.protocols import Stimulator
    from wetloop.core.types import RigInfo
    from wetloop.engine.live import Shared
    from wetloop.kernels.records import Record

LOOK_NS = 20_000_000
STOP_LOOK_NS = 1_000_000
"""How often a stop input is looked at, ns."""
STOPPER = "stop input of the rig"
LATE_NS = 1_000_000
"""A pulse this much behind its sample is not delivered any more: a frame."""


class Delivery:
    """Delivers until the session is silenced, then silences the stimulator and delivers nothing more.

    Parameters
    ----------
    shared
        Where triggers come from, and where account is kept.
    stimulator
        Prepared.
    info
        Says whether the stimulator is immediate, and how long it takes.
    """

    def __init__(self, shared: Shared, stimulator: Stimulator, info: RigInfo) -> None:
        self._shared, self._control, self._stimulator = shared, shared.control, stimulator
        self._stop_input: StopInput | None = None
        if isinstance(stimulator, StopInput) and stimulator.stop_asked() is not None:
            self._stop_input = stimulator
        self._look_ns = LOOK_NS if self._stop_input is None else STOP_LOOK_NS
        self._immediate, self._latency_ns = info.immediate, round(info.trigger_latency_ms * 1e6)
        self._triggers = RingReader(shared.triggers, ENGINE)
        self._planned: deque[Record] = deque()

    def step(self) -> None:
        """Wait a little for what is due, and deliver it; a stop input that is raised silences the session first."""
        if self._stop_input is not None and self._stop_input.stop_asked():
            ask_to_stop(self._control, self._shared.notes, STOPPER)
        if control_word(self._control, SILENCE):
            self.fall_silent()
            wait_stop(self._control, now_host_ns() + LOOK_NS)
            return
        until_ns = now_host_ns() + self._look_ns
        due_ns = self._due_ns(self._planned[0]) if self._planned else until_ns
        if not wait_trigger(self._shared.triggers, self._control, min(due_ns, until_ns)):
            return
        for trigger in self._triggers.take():
            if self._immediate:
                self._planned.append(trigger)
            else:
                hand_to_rig(self._shared, self._stimulator, trigger)
        while self._planned and (due_ns := self._due_ns(self._planned[0])) <= now_host_ns():
            trigger = self._planned.popleft()
            if now_host_ns() - due_ns > LATE_NS:
                note_outcome(self._shared, trigger, REFUSED)
            else:
                hand_to_rig(self._shared, self._stimulator, trigger)

    def _due_ns(self, trigger: Record) -> int:
        newest = self._shared.clock.slots[(load_head(self._shared.clock.words) - 1) % self._shared.clock.slots.size]
        return Estimate(*newest.item()).host_at(int(trigger["sample_index"])) - self._latency_ns

    def fall_silent(self) -> None:
        """Have the rig forget its planned pulses, once; triggers on their way stay where they are."""
        if not control_word(self._control, SILENCED):
            self._stimulator.silence()
            self._planned.clear()
            set_control_word(self._control, SILENCED, now_host_ns())


def hand_to_rig(shared: Shared, stimulator: Stimulator, trigger: Record) -> None:
    """Trigger a pulse, and note whether the rig took it."""
    outcome = TAKEN
    try:
        stimulator.trigger(int(trigger["pattern"]), int(trigger["sample_index"]))
    except LatePulseError:
        outcome = REFUSED
    note_outcome(shared, trigger, outcome)


def note_outcome(shared: Shared, trigger: Record, outcome: int) -> None:
    """Count a pulse that reached the rig, and note for the recording what came of it."""
    shared.control[ACCEPTED if outcome == TAKEN else LATE_AT_RIG] += 1
    put(shared.triggered, (*trigger.item(), now_host_ns(), outcome, 0))


class Courier:
    """Runs a delivery in a thread of its own; a context, at whose end the stimulator is silent."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery, self._ended = delivery, threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._delivery.fall_silent()

    def check(self) -> None:
        """Raise what the thread has failed of."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        obtain("stimulator")
        try:
            while not self._ended.is_set():
                self._delivery.step()
        except BaseException as error:  # noqa: BLE001  (whatever it is, the process must hear of it)
            self._failure = error
