"""Feedback rules: pulses and pauses in answer to the task's events, and the control conditions of DishBrain.

A rule is put together from what events earn, when an answer may start, and which trains are delivered for it. Trains
are never cut short by what the task shows: feedback has priority over sensory pulses in the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from wetloop.core.types import Kind, Priority, Response, Update, VoiceSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.coding.answers import Rank, Train
    from wetloop.coding.feedback_config import AnsweringConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, RigInfo, StimProgram, Tick

VOICES: Final = {Kind.PREDICTABLE: 8, Kind.RANDOM: 9}
MOST_WAITING: Final = 16
"""Answers that may wait for the running one; the engine holds 64 settings for each voice."""
NOTHING: Final = Response()


class Earned(NamedTuple):
    """An answer that an event has earned; rank 0 is the highest, ``kind`` is None where there is no pulse."""

    rank: int
    name: str
    kind: Kind | None
    train: Train
    hold: bool
    rest_samples: int


class Earnings:
    """What the events of a decision earn."""

    def __init__(self, ranks: tuple[Rank, ...], info: RigInfo) -> None:
        self._ranks, self._info = ranks, info

    def of(self, events: tuple[str, ...], magnitudes: Mapping[str, float]) -> list[Earned]:
        """Return the answers that the events earn, the highest rank first; one for each event."""
        return [
            Earned(
                k, rank.name, rank.answer.kind, rank.answer.played(self._info, magnitudes.get(rank.event)),
                rank.answer.hold, self._info.samples(1000 * rank.answer.rest_s),
            )
            for k, rank in enumerate(self._ranks)
            if rank.event in events
        ]  # fmt: skip


class Booking(NamedTuple):
    """An answer of this rank runs, or will have run, until this sample."""

    rank: int
    stop_sample: int


class Agenda:
    """When answers start: one at a time, the higher rank first."""

    def __init__(self, overlap: str) -> None:
        self._overlap = overlap
        self._booked: list[Booking] = []

    def start_of(self, rank: int, plan_sample: int) -> int | None:
        """Return when an answer of this rank starts; None where it is dropped.

        One that outranks the running answer ends it, and all that wait are forgotten.
        """
        self._booked = [booking for booking in self._booked if booking.stop_sample > plan_sample]
        if not self._booked:
            return plan_sample
        if rank < self._booked[0].rank or self._overlap == "replace":
            self._booked.clear()
            return plan_sample
        if self._overlap == "drop" or len(self._booked) > MOST_WAITING:
            return None
        return self._booked[-1].stop_sample

    def book(self, rank: int, stop_sample: int) -> None:
        """Take note that what was started last goes on until ``stop_sample``."""
        self._booked.append(Booking(rank, stop_sample))


class Delivery(Protocol):
    """Decides what is delivered for what was earned."""

    def deliver(self, earned: Earned, start_sample: int) -> tuple[Earned, StimProgram]:
        """Return what is delivered, and its program from ``start_sample`` on."""


class Trains:
    """Delivers what was earned; every random train is different."""

    def __init__(self, config: AnsweringConfig, context: BuildContext) -> None:
        self._rng = context.rng("feedback")
        self._patterns = {
            rank.name: context.table.find(*names)
            for rank in config.ranks()
            if (names := rank.answer.patterns(rank.name, context.layout, config.phase_us, context.info.unit))
        }
        self._last: dict[int, VoiceSetting] = {}

    def deliver(self, earned: Earned, start_sample: int) -> tuple[Earned, StimProgram]:
        running = [s for s in self._last.values() if s.stop_sample > start_sample]
        if earned.kind is None:
            return earned, self._off(running, start_sample)
        setting = self._setting(earned, earned.kind, start_sample)
        self._last[setting.voice] = setting
        others = [s for s in running if s.voice != setting.voice]
        return earned, (setting, *self._off(others, start_sample))

    def _setting(self, earned: Earned, kind: Kind, start_sample: int) -> VoiceSetting:
        timing, period_samples, n_samples = earned.train
        seed = int(self._rng.integers(1 << 62)) if kind == Kind.RANDOM else 0
        return VoiceSetting(
            VOICES[kind], self._patterns[earned.name], kind, Priority.FEEDBACK, Update.REPLACE, timing,
            start_sample, start_sample + n_samples, period_samples, seed,
        )  # fmt: skip

    def _off(self, settings: list[VoiceSetting], at_sample: int) -> StimProgram:
        """Return what ends these trains, and forget them."""
        for setting in settings:
            del self._last[setting.voice]
        return tuple(s._replace(start_sample=at_sample, stop_sample=at_sample) for s in settings)


class NoTrains:
    """Delivers nothing: the pauses of the stimulus condition without its pulses."""

    def deliver(self, earned: Earned, start_sample: int) -> tuple[Earned, StimProgram]:
        _ = start_sample
        return earned, ()


class YokedTrains:
    """Delivers an answer drawn from all that were earned so far, the present one included."""

    def __init__(self, trains: Trains, context: BuildContext) -> None:
        self._trains, self._rng = trains, context.rng("yoked")
        self._earned: list[Earned] = []

    def deliver(self, earned: Earned, start_sample: int) -> tuple[Earned, StimProgram]:
        self._earned.append(earned)
        drawn = self._earned[int(self._rng.integers(len(self._earned)))]
        return self._trains.deliver(drawn, start_sample)


class EventFeedback:
    """Answers events as a table says."""

    def __init__(self, config: AnsweringConfig, context: BuildContext, delivery: Delivery) -> None:
        self._earnings, self._agenda = Earnings(config.ranks(), context.info), Agenda(config.overlap)
        self._delivery, self._all_at_once = delivery, config.overlap == "append"

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        if not outcome.events:
            return NOTHING
        earned = self._earnings.of(outcome.events, outcome.info.get("magnitudes", {}))
        program: StimProgram = ()
        hold = 0
        for answer in earned if self._all_at_once else earned[:1]:
            start = self._agenda.start_of(answer.rank, tick.plan_sample)
            if start is None:
                continue
            given, settings = self._delivery.deliver(answer, start)
            self._agenda.book(answer.rank, start + given.train.n_samples)
            program += settings
            hold = max(hold, pause_until(answer, given, start) - tick.stop_sample)
        return Response(program, hold)


def pause_until(earned: Earned, given: Earned, start_sample: int) -> int:
    """Return the sample until which the task pauses for an answer; 0 where it goes on.

    What earns a pause costs the length of its own train and its rest, whatever is delivered. Where it was not earned,
    what is delivered pauses the task as long as it lasts: nobody has to play blind.
    """
    if earned.hold:
        return start_sample + earned.train.n_samples + earned.rest_samples
    return start_sample + given.train.n_samples if given.hold else 0


class NoFeedback:
    """Answers nothing and pauses nothing."""

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        _ = outcome, tick
        return NOTHING
