"""Configuration of any Gymnasium environment as a task; importing it does not import Gymnasium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from wetloop.core.plugin import TaskConfig

if TYPE_CHECKING:
    import gymnasium

MAX_EVENTS = 32
"""A recording keeps the events of a decision as the bits of one number."""

Name = Annotated[str, Field(min_length=1, max_length=60)]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class EventConfig(BaseModel):
    """What must happen for an event to be told. Exactly one of ``when``, ``observation`` and ``info`` is watched.

    ``{when: terminated}``, ``{when: reward, above: 0.5}``, ``{info: lives, falls: true}``,
    ``{observation: pole_angle, above: -0.05, below: 0.05, every_ms: 1000}``
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    when: Literal["begun", "terminated", "truncated", "reward"] | None = None
    """An episode has begun or ended, or the step's reward lies between ``above`` and ``below``."""
    observation: int | str | None = None
    """Element of the observation that is watched, by name or number."""
    info: str | None = None
    """Number in the environment's info that is watched; while it is missing nothing is told."""
    above: float | None = None
    """Holds while the number is larger than this."""
    below: float | None = None
    """Holds while the number is smaller than this."""
    rises: bool = False
    """Holds in steps in which the number grew."""
    falls: bool = False
    """Holds in steps in which the number shrank."""
    every_ms: float | None = Field(None, gt=0)
    """Told each time that the condition has lasted so long, ms of play. By default a watched number is told when it
    comes to lie between ``above`` and ``below``, and everything else in each step in which it holds."""
    pause_ms: float = Field(0.0, ge=0)
    """Not told again within this time, ms of play."""

    @property
    def momentary(self) -> bool:
        """Whether each step stands for itself, so that two in a row are two events."""
        return self.when is not None or (self.above is None and self.below is None)

    @model_validator(mode="after")
    def _watches_one_thing(self) -> Self:
        if sum(x is not None for x in (self.when, self.observation, self.info)) != 1:
            raise ValueError("an event watches one thing: give one of when, observation and info")
        return self

    @model_validator(mode="after")
    def _says_what_must_be_true(self) -> Self:
        compared = (self.above, self.below) != (None, None)
        if self.when in {"begun", "terminated", "truncated"}:
            if compared or self.rises or self.falls or self.every_ms is not None:
                raise ValueError(f"when: {self.when} stands alone; only pause_ms may go with it")
        elif not (compared or self.rises or self.falls):
            raise ValueError("say what must be true: above, below, rises or falls")
        if self.rises and self.falls:
            raise ValueError("a number cannot rise and fall in one step: make it two events")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"above {self.above:g} must be less than below {self.below:g}: told is what lies between")
        return self


class GymnasiumConfig(TaskConfig):
    """Any environment that Gymnasium knows by its id, on the rig's clock, with events told by rules."""

    model_config = ConfigDict(allow_inf_nan=False)

    kind: Literal["gymnasium"] = "gymnasium"
    id: str = Field("CartPole-v1", min_length=1)
    """Id of the environment, with its version. ``ALE/...`` are Atari's games (``pip install 'wetloop[atari]'``)."""
    modules: tuple[Module, ...] = ()
    """Installed packages that add environments when they are imported."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Arguments of the environment, as ``gymnasium.make`` takes them."""
    step_ms: float | None = Field(None, ge=0.1)
    """What one step of the environment lasts on the rig's clock, ms; by default a decision. Decisions and steps need
    not divide each other."""
    observation_elements: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Elements of the flattened observation that are kept, by number; by default all."""
    observation_names: tuple[Name, ...] = ()
    """A name for each element that is kept."""
    observation_size: Size = (6, 8)
    """Rows and columns of equal parts whose mean brightness (0 to 1, grey) stands for an observation that is a
    picture."""
    frame: Literal["none", "observation", "render"] = "none"
    """Picture for encoders that show pictures: none, the observation itself, or what the environment renders."""
    frame_size: Size | None = None
    """Height and width to which that picture is pooled, in grey; by default it is as the environment gives it."""
    discrete: Literal["bins", "argmax"] = "bins"
    """Numbered actions: the decoder gives one value, whose range of -1 to 1 is cut into equal parts (bins), or a score
    for each action, of which the largest wins (argmax)."""
    discrete_actions: tuple[int, ...] | None = None
    """Numbered actions that can be chosen, in the order of parts or scores; by default all."""
    neutral_action: int | float | tuple[float, ...] | None = None
    """What is played while all of the decoder's values are 0, in the environment's own terms; by default what 0 means:
    the middle of the range, or the first of several scores."""
    action_names: tuple[Name, ...] = ()
    """A name for each of the decoder's values."""
    events: dict[Name, EventConfig] = Field(
        {"terminated": EventConfig(when="terminated"), "truncated": EventConfig(when="truncated")},
        max_length=MAX_EVENTS,
    )
    """Rules that tell what happened, by the event's name."""

    @field_validator("kwargs")
    @classmethod
    def _rendering_is_not_theirs(cls, kwargs: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted({"render_mode", "disable_env_checker", "id"} & set(kwargs)):
            raise ValueError(f"{', '.join(taken)} cannot be given here; frame: render asks for pictures")
        return kwargs

    def build(self, decision_ms: float) -> gymnasium.Env[Any, Any]:
        from wetloop.tasks.foreign import ForeignTask, Pictured
        from wetloop.tasks.making import made
        from wetloop.tasks.paced import Paced

        step_ms = self.step_ms or decision_ms
        task = ForeignTask(made(self), self, step_ms)
        paced = Paced(task, step_ms, decision_ms)
        return paced if self.frame == "none" else Pictured(paced, task)

    def event_names(self) -> tuple[str, ...]:
        return tuple(self.events)
