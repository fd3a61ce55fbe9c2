"""Feedback rules: pulses and pauses in answer to the task's events, and the control conditions of DishBrain.

The rules are put together from what an event earns, how long the task pauses for it, and the pulses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wetloop.core.types import Kind, Priority, Response, Timing, Update, VoiceSetting

if TYPE_CHECKING:
    from wetloop.coding.feedback_config import OutcomeConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick

PREDICTABLE_VOICE, RANDOM_VOICE = 8, 9
NOTHING: Final = Response()


class Earnings:
    """What the events of a decision earn, and how long the task pauses for it."""

    def __init__(self, config: OutcomeConfig, context: BuildContext) -> None:
        self._kinds = dict.fromkeys(config.predictable_events, Kind.PREDICTABLE)
        self._kinds |= dict.fromkeys(config.random_events, Kind.RANDOM)
        self._random_samples = context.info.samples(1000 * config.random.duration_s)
        self._rest_samples = context.info.samples(1000 * config.rest_s)

    def of(self, events: tuple[str, ...]) -> Kind | None:
        """Return the kind of feedback that the events earn, if any."""
        earned = [self._kinds[event] for event in events if event in self._kinds]
        return max(earned, default=None)

    def pause(self, earned: Kind, delivered: Kind, tick: Tick) -> int:
        """Return the samples to hold the task, counted from the end of the decision's window.

        What earns random feedback costs its length and the rest, whatever is delivered. Random pulses that
        were not earned pause the task as long as they last: nobody has to play blind.
        """
        delay = tick.plan_sample - tick.stop_sample
        if earned == Kind.RANDOM:
            return delay + self._random_samples + self._rest_samples
        return delay + self._random_samples if delivered == Kind.RANDOM else 0


class Trains:
    """The two feedback trains."""

    def __init__(self, config: OutcomeConfig, context: BuildContext) -> None:
        self._rng = context.rng("feedback")
        self._together = context.table.find("predictable")
        self._single = context.table.find(*(f"random {place}" for place in range(len(context.layout.sensory))))
        self._predictable_samples = context.info.samples(config.predictable.duration_ms)
        self._random_samples = context.info.samples(1000 * config.random.duration_s)
        self._predictable_period = context.info.sampling_frequency / config.predictable.rate_hz
        self._random_period = context.info.sampling_frequency / config.random.rate_hz

    def of(self, kind: Kind, start_sample: int) -> StimProgram:
        """Return a train of this kind; every random one is different."""
        if kind == Kind.RANDOM:
            seed = int(self._rng.integers(1 << 62))
            return (
                VoiceSetting(
                    RANDOM_VOICE, self._single, kind, Priority.FEEDBACK, Update.REPLACE, Timing.POISSON,
                    start_sample, start_sample + self._random_samples, self._random_period, seed,
                ),
            )  # fmt: skip
        return (
            VoiceSetting(
                PREDICTABLE_VOICE, self._together, kind, Priority.FEEDBACK, Update.REPLACE, Timing.REGULAR,
                start_sample, start_sample + self._predictable_samples, self._predictable_period,
            ),
        )  # fmt: skip


class DishBrainFeedback:
    """Delivers what the events earn."""

    def __init__(self, config: OutcomeConfig, context: BuildContext) -> None:
        self._earnings, self._trains = Earnings(config, context), Trains(config, context)

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        earned = self._earnings.of(outcome.events) if outcome.events else None
        if earned is None:
            return NOTHING
        return Response(self._trains.of(earned, tick.plan_sample), self._earnings.pause(earned, earned, tick))


class SilentFeedback:
    """Pauses the task as DishBrainFeedback does, without a pulse."""

    def __init__(self, config: OutcomeConfig, context: BuildContext) -> None:
        self._earnings = Earnings(config, context)

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        earned = self._earnings.of(outcome.events) if outcome.events else None
        return NOTHING if earned is None else Response((), self._earnings.pause(earned, earned, tick))


class YokedFeedback:
    """Answers what is earned with a kind drawn from all that was earned so far, the present one included."""

    def __init__(self, config: OutcomeConfig, context: BuildContext) -> None:
        self._earnings, self._trains = Earnings(config, context), Trains(config, context)
        self._rng = context.rng("yoked")
        self._earned: list[Kind] = []

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        earned = self._earnings.of(outcome.events) if outcome.events else None
        if earned is None:
            return NOTHING
        self._earned.append(earned)
        drawn = self._earned[int(self._rng.integers(len(self._earned)))]
        return Response(self._trains.of(drawn, tick.plan_sample), self._earnings.pause(earned, drawn, tick))


class NoFeedback:
    """Answers nothing and pauses nothing."""

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        _ = outcome, tick
        return NOTHING
