"""Configuration of the built-in tasks; importing it does not import Gymnasium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import TaskConfig

if TYPE_CHECKING:
    from wetloop.tasks.chemotaxis import Chemotaxis
    from wetloop.tasks.pong import Pong


class PongConfig(TaskConfig):
    """One-player Pong; lengths are fractions of the field, which is 1 wide and 1 high.

    The crossing time is measured in a published DishBrain session (return trip 5.90 to 5.95 s); the other
    values are those with which simulated cultures learn.
    """

    kind: Literal["pong"] = "pong"
    paddle: float = Field(0.3, gt=0, lt=1)
    """Height of the paddle, as a fraction of the height of the field."""
    crossing_s: float = Field(2.95, gt=0)
    """Time of the ball from the paddle's plane to the opposite wall, s."""
    paddle_speed: float = Field(1.2, gt=0)
    """Speed of the paddle at full action, heights of the field per second."""
    min_slope: float = Field(0.25, ge=0)
    """Least vertical over horizontal speed of the ball after a serve or a hit."""
    max_slope: float = Field(0.8, ge=0)
    """Largest vertical over horizontal speed of the ball after a serve or a hit."""
    serve_margin: float = Field(0.1, ge=0, le=0.5)
    """Serves keep this distance from the upper and lower wall, as a fraction of the height of the field."""
    miss_ends_episode: bool = True
    """False lets the ball bounce on after a miss, without a new serve: DishBrain's no-feedback condition."""

    @model_validator(mode="after")
    def _slopes_in_order(self) -> Self:
        if self.min_slope > self.max_slope:
            raise ValueError(f"min_slope {self.min_slope:g} is over max_slope {self.max_slope:g}")
        return self

    def build(self, decision_ms: float) -> Pong:
        from wetloop.tasks.pong import Pong

        longest_ms = 1000 * self.crossing_s / (2 * max(1.0, self.max_slope))
        if decision_ms > longest_ms:
            raise ConfigError(
                f"decisions of {decision_ms:g} ms are too long for a crossing of {self.crossing_s:g} s: "
                f"take at most {longest_ms:g} ms or raise task.crossing_s"
            )
        return Pong(self, decision_ms, render_mode="rgb_array")

    def event_names(self) -> tuple[str, ...]:
        return ("serve", "hit", "miss", "bounce")

    def endless(self) -> PongConfig:
        return self.model_copy(update={"miss_ends_episode": False})


class ChemotaxisConfig(TaskConfig):
    """An animal in a square dish follows a smell to food; lengths are fractions of the dish, 1 wide and 1 high.

    Food that was eaten appears at another of a few places that never change, so that remembering them helps.
    """

    kind: Literal["chemotaxis"] = "chemotaxis"
    places: tuple[tuple[float, float], ...] = Field(((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)), min_length=2)
    """Where food can be: pairs of x and y."""
    sources: int = Field(1, ge=1)
    """Pieces of food at a time; each smells."""
    order: Literal["random", "cycle"] = "random"
    """Where eaten food appears again: at a free place by chance, or at the next free one of ``places``."""
    food_radius: float = Field(0.08, gt=0, le=0.5)
    """Radius of a piece of food, which is eaten when the animal's centre reaches it."""
    radius: float = Field(0.02, ge=0, lt=0.5)
    """Radius of the animal, whose edge the wall stops."""
    speed: float = Field(0.2, gt=0)
    """Speed of the animal, dishes per second."""
    throttle: bool = False
    """Let a second value of the action set the speed, from 0 at -1 to ``speed`` at 1."""
    turn_deg_s: float = Field(270.0, gt=0, le=3600)
    """Turn at full action, degrees per second."""
    sensor_ahead: float = Field(0.02, ge=0)
    """Distance of the two noses ahead of the centre."""
    sensor_apart: float = Field(0.06, gt=0)
    """Distance of the noses from each other."""
    memory_s: float = Field(2.0, gt=0)
    """Time constant of the memory with which the present smell is compared, s."""
    starve_s: float = Field(60.0, gt=0)
    """Time without food after which the animal starves, s."""
    starving_ends_episode: bool = True
    """False lets it go on, sated, after it has starved: the no-feedback condition."""

    @model_validator(mode="after")
    def _food_fits(self) -> Self:
        if len(set(self.places)) != len(self.places) or self.sources >= len(self.places):
            raise ValueError(f"{self.sources} sources need more than {self.sources} different places, to move to")
        if not all(self.radius <= x <= 1 - self.radius for place in self.places for x in place):
            raise ValueError(f"places must be within reach: x and y from {self.radius:g} to {1 - self.radius:g}")
        return self

    def build(self, decision_ms: float) -> Chemotaxis:
        from wetloop.tasks.chemotaxis import Chemotaxis

        return Chemotaxis(self, decision_ms, render_mode="rgb_array")

    def event_names(self) -> tuple[str, ...]:
        return ("food", "wall", "starved")

    def endless(self) -> ChemotaxisConfig:
        return self.model_copy(update={"starving_ends_episode": False})
