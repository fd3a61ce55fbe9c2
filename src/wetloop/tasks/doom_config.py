"""Configuration of Doom; importing it imports neither Gymnasium nor ViZDoom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wetloop.core.plugin import TaskConfig

if TYPE_CHECKING:
    from wetloop.tasks.doom import Doom


class DoomConfig(TaskConfig):
    """Doom in one of ViZDoom's scenarios, at 35 tics per second of the rig's clock whatever a decision lasts."""

    kind: Literal["doom"] = "doom"
    scenario: Literal[
        "basic", "defend_the_center", "take_cover", "health_gathering", "deadly_corridor", "deathmatch"
    ] = "defend_the_center"
    """What is played: basic (strafe, attack), defend_the_center (turn, attack), take_cover (strafe), health_gathering
    (turn, forward), deadly_corridor or deathmatch (turn, forward, strafe, attack)."""
    resolution: Literal["160x120", "320x240", "640x480"] = "160x120"
    """Size of the picture, pixels."""
    frame: Literal["depth", "labels", "grey"] = "depth"
    """What the culture is shown: how near everything is, enemies in white and things to pick up in grey, or the screen
    in grey."""
    timeout_s: float | None = Field(None, gt=0)
    """An episode ends after this time, s; by default as the scenario has it."""
    skill: int | None = Field(None, ge=1, le=5)
    """How hard the monsters are, from 1 to 5; by default as the scenario has it."""
    own_process: bool = True
    """Run the game in a process of its own, so that one that hangs or dies cannot stop the session."""

    def build(self, decision_ms: float) -> Doom:
        from wetloop.tasks.doom import Doom

        return Doom(self, decision_ms, render_mode="rgb_array")

    def event_names(self) -> tuple[str, ...]:
        return ("kill", "damage", "pickup", "missed_shot", "death", "survived", "goal")
