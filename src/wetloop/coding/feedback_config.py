"""Configuration of the built-in feedback rules; importing it is cheap, the objects are imported when they are built.

Every rule that answers events is a table of answers in order of rank: DishBrain's has a row for each of its
predictable and random events, and the control conditions play a table otherwise than it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from wetloop.coding.answers import Answer, PredictableAnswer, PredictableConfig, RandomAnswer, RandomConfig, Rank
from wetloop.core.plugin import FeedbackConfig

if TYPE_CHECKING:
    from wetloop.coding.feedback import EventFeedback, NoFeedback
    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import RigInfo


class AnsweringConfig(FeedbackConfig):
    """What all rules that answer events share; by itself it is not a kind of feedback."""

    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""
    overlap: Literal["drop", "append", "replace"] = "drop"
    """What becomes of an event that comes while an answer of the same or a higher rank runs: it is not answered, its
    answer waits, or its answer takes over. An event of higher rank always takes over."""

    def ranks(self) -> tuple[Rank, ...]:
        """Return the table of answers, the highest rank first."""
        raise NotImplementedError

    def event_names(self) -> tuple[str, ...]:
        return tuple(rank.event for rank in self.ranks())

    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        made: dict[str, Pattern] = {}
        for rank in self.ranks():
            made |= rank.answer.patterns(rank.name, layout, self.phase_us, unit)
        return made

    def most_in_a_second(self, layout: Layout, info: RigInfo) -> dict[str, float]:
        return {rank.event: rank.answer.most_in_a_second(layout, info) for rank in self.ranks()}


def ranked(events: dict[str, Answer]) -> tuple[Rank, ...]:
    """Return a table in its own order; answers with the same pulses on the same electrodes share their patterns."""
    names: dict[object, str] = {}
    return tuple(
        Rank(event, names.setdefault(_pulses_of(answer, event), event), answer) for event, answer in events.items()
    )


def _pulses_of(answer: Answer, event: str) -> object:
    """Return what tells an answer's patterns from those of others; an answer without any shares with nobody."""
    if answer.train == "silent":
        return event
    return answer.kind, answer.amplitude_mv, answer.amplitude_ua, answer.electrodes


class EventsConfig(AnsweringConfig):
    """An answer to each of any task's events, as a table says."""

    kind: Literal["events"] = "events"
    events: dict[str, Answer] = Field(min_length=1)
    """Answers by event, the highest rank first. Each has a train: predictable (fixed sites and times), graded
    (predictable, by the event's magnitude), random (random sites and times) or silent (a pause)."""

    def ranks(self) -> tuple[Rank, ...]:
        return ranked(self.events)

    def build(self, context: BuildContext) -> EventFeedback:
        from wetloop.coding.feedback import EventFeedback, Trains

        return EventFeedback(self, context, Trains(self, context))


class OutcomeConfig(AnsweringConfig):
    """DishBrain's table of answers; by itself it is not a kind of feedback."""

    predictable: PredictableConfig = PredictableConfig()
    random: RandomConfig = RandomConfig()
    overlap: Literal["drop", "append", "replace"] = "replace"
    rest_s: float = Field(4.0, ge=0)
    """Pause of the task after random feedback, s."""
    predictable_events: tuple[str, ...] = ("hit",)
    """Events that earn predictable feedback."""
    random_events: tuple[str, ...] = ("miss",)
    """Events that earn random feedback; they outrank predictable ones of the same decision."""

    @model_validator(mode="after")
    def _events_earn_one_kind(self) -> Self:
        if both := set(self.predictable_events) & set(self.random_events):
            raise ValueError(f"{', '.join(sorted(both))} stands in predictable_events and in random_events")
        return self

    def ranks(self) -> tuple[Rank, ...]:
        bad = RandomAnswer(**self.random.model_dump(), hold=True, rest_s=self.rest_s)
        good = PredictableAnswer(**self.predictable.model_dump())
        return (
            *(Rank(event, "random", bad) for event in self.random_events),
            *(Rank(event, "predictable", good) for event in self.predictable_events),
        )


class DishBrainConfig(OutcomeConfig):
    """DishBrain's stimulus condition: predictable pulses for a hit, random pulses and a rest for a miss."""

    kind: Literal["dishbrain"] = "dishbrain"

    def build(self, context: BuildContext) -> EventFeedback:
        from wetloop.coding.feedback import EventFeedback, Trains

        return EventFeedback(self, context, Trains(self, context))


class ControlConfig(OutcomeConfig):
    """What a control condition takes over: DishBrain's settings, or the table of ``events`` feedback."""

    events: dict[str, Answer] = Field({})
    """The table of the events feedback that this is the control of; by default the table is DishBrain's."""

    def ranks(self) -> tuple[Rank, ...]:
        return ranked(self.events) if self.events else super().ranks()


class YokedConfig(ControlConfig):
    """Feedback drawn from what was earned so far: the same pulses, but not contingent on the play."""

    kind: Literal["yoked"] = "yoked"

    def build(self, context: BuildContext) -> EventFeedback:
        from wetloop.coding.feedback import EventFeedback, Trains, YokedTrains

        return EventFeedback(self, context, YokedTrains(Trains(self, context), context))


class SilentConfig(ControlConfig):
    """The pauses of the stimulus condition without its pulses."""

    kind: Literal["silent"] = "silent"

    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        _ = layout, unit
        return {}

    def build(self, context: BuildContext) -> EventFeedback:
        from wetloop.coding.feedback import EventFeedback, NoTrains

        return EventFeedback(self, context, NoTrains())


class NoFeedbackConfig(FeedbackConfig):
    """Neither pulses nor pauses; in DishBrain's no-feedback condition the task has no end either."""

    kind: Literal["none"] = "none"

    def build(self, context: BuildContext) -> NoFeedback:
        from wetloop.coding.feedback import NoFeedback

        _ = context
        return NoFeedback()
