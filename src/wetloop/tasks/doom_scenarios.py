"""What ViZDoom's own scenarios are played with; importing it is cheap."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Axis: TypeAlias = Literal["turn", "forward", "strafe", "attack"]


class Scenario(NamedTuple):
    """A scenario's axes of action, and what its end means.

    Attributes
    ----------
    axes
        What the culture moves, in the order of the action.
    outlasts
        Whether to live until the time is up is what it is about (``survived``).
    """

    axes: tuple[Axis, ...]
    outlasts: bool = True


SCENARIOS: dict[str, Scenario] = {
    "basic": Scenario(("strafe", "attack"), outlasts=False),
    "defend_the_center": Scenario(("turn", "attack")),
    "take_cover": Scenario(("strafe",)),
    "health_gathering": Scenario(("turn", "forward")),
    "deadly_corridor": Scenario(("turn", "forward", "strafe", "attack"), outlasts=False),
    "deathmatch": Scenario(("turn", "forward", "strafe", "attack")),
}

BUTTONS: dict[Axis, tuple[str, float]] = {
    "turn": ("TURN_LEFT_RIGHT_DELTA", 5.0),
    "forward": ("MOVE_FORWARD_BACKWARD_DELTA", 25.0),
    "strafe": ("MOVE_LEFT_RIGHT_DELTA", 25.0),
    "attack": ("ATTACK", 1.0),
}
"""ViZDoom's button of each axis and its value at full action: degrees per tic (Doom turns by 3.5 walking and 7
running), and Doom's walking speed (a runner has 50 forwards, 40 sideways). Positive is right and forward."""
