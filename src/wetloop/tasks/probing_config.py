"""Configuration of the tasks that probe a culture and look at its answers; importing it does not import Gymnasium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from wetloop.core.plugin import TaskConfig

if TYPE_CHECKING:
    from wetloop.tasks.animat import Animat
    from wetloop.tasks.removal import StimulusRemoval

Channel = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ProbingConfig(TaskConfig):
    """What tasks with probes share; by itself it is not a kind of task."""

    ahead_ms: float = Field(40.0, gt=0)
    """A pulse is announced so long before it falls, ms: whole decisions, no less than ``plan_ms``."""


class StimulusRemovalConfig(ProbingConfig):
    """Learning by stimulus removal (Shahaf and Marom 2001): stimulation ends when a chosen electrode answers.

    The encoder ``cued`` plays the pulse ``pulse_ms``, the decoder ``counts`` tells the spikes of each electrode, and
    feedback holds the task after ``removed``, which is the rest without stimulation. The electrode is chosen in a
    pretest, which is the same in all arms. Rate, window, limit and rest are the paper's; its criterion, 2 responses to
    10 stimuli, could not be checked against the text.
    """

    kind: Literal["stimulus-removal"] = "stimulus-removal"
    electrodes: int = Field(64, ge=1)
    """Electrodes whose spikes the decoder tells."""
    excluded: tuple[Channel, ...] = ()
    """Of these, by number, electrodes that cannot be chosen: those that are stimulated."""
    rate_hz: float = Field(0.5, gt=0, le=10)
    """Stimuli per second (published: 0.3 to 1)."""
    window_ms: tuple[NotNegative, NotNegative] = (40.0, 60.0)
    """A response is a spike that became known from so many ms after the stimulus up to so many, in whole decisions."""
    responses: int = Field(2, ge=1)
    """The criterion: so many responses ..."""
    of_stimuli: int = Field(10, ge=1)
    """... to the last so many stimuli of the cycle."""
    most_stimuli: int = Field(300, ge=1)
    """Stimulation is removed after so many stimuli in any case (10 min at 0.5 Hz)."""
    pretest_stimuli: int = Field(60, ge=1)
    """Stimuli of the pretest, in which an electrode is chosen."""
    start_ratio: float = Field(0.1, ge=0, le=1)
    """Responses per stimulus in the pretest to which the chosen electrode comes nearest; among equals the first."""
    removal: Literal["contingent", "yoked"] = "contingent"
    """When stimulation is removed: once the criterion is met, or when it was for another culture."""
    yoked_stimuli: tuple[Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)], ...] = ()
    """For yoked removal: of each master culture, the stimuli of each of its cycles. A session follows one of them,
    drawn by its seed, over and over."""

    @model_validator(mode="after")
    def _can_be_played(self) -> Self:
        if self.responses > self.of_stimuli:
            raise ValueError(f"responses {self.responses} is over of_stimuli {self.of_stimuli}: nothing could meet it")
        if self.removal == "yoked" and not self.yoked_stimuli:
            raise ValueError("removal yoked needs the cycles of at least one master culture in yoked_stimuli")
        if set(range(self.electrodes)) <= set(self.excluded):
            raise ValueError("excluded leaves no electrode to choose from")
        return self

    def build(self, decision_ms: float) -> StimulusRemoval:
        from wetloop.tasks.removal import StimulusRemoval

        return StimulusRemoval(self, decision_ms)

    def event_names(self) -> tuple[str, ...]:
        return ("pretest", "chosen", "stimulus", "response", "criterion", "removed")


class AnimatConfig(ProbingConfig):
    """An animat that is to walk to the middle of its arena (Bakkum, Chao and Potter 2008); lengths are half arenas.

    The encoder ``cued`` plays the probes ``probe_0_ms`` to ``probe_3_ms``, the decoder ``centre`` tells the activity.
    """

    kind: Literal["animat"] = "animat"
    period_s: float = Field(5.0, gt=0, allow_inf_nan=False)
    """From one probe to the next, s."""
    window_ms: tuple[NotNegative, NotNegative] = (0.0, 100.0)
    """Activity that became known from so many ms after the probe up to so many is its answer, in whole decisions."""
    pretest_probes: int = Field(12, ge=1)
    """Probes of each quadrant, in turn, whose mean answer is the one from which movements are counted."""
    stride: float = Field(0.1, gt=0, le=1)
    """Length of a step."""

    def build(self, decision_ms: float) -> Animat:
        from wetloop.tasks.animat import Animat

        return Animat(self, decision_ms)

    def event_names(self) -> tuple[str, ...]:
        return ("pretest", "moved", "on_target", "off_target", "left")
