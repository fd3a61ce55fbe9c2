"""What is seen and known of Doom at one moment, as numbers in fixed ranges and as a picture of one channel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import vizdoom

    Vector = npt.NDArray[np.float32]
    Picture = npt.NDArray[np.uint8]

FAR_UNITS = 1024.0
"""Distance that counts as 1, map units (a player is 32 wide and 56 high)."""
MAP_UNITS = 2048.0
"""Position that counts as 1, map units."""
FULL_HEALTH, FULL_AMMO, MANY_KILLS = 100.0, 50.0, 20.0
ENEMY, PICKUP = 255, 128
"""Grey values in a picture of labels."""
KINDS = {"Monster": ENEMY, "Ammo": PICKUP, "Armor": PICKUP, "Health": PICKUP, "Weapon": PICKUP, "Key": PICKUP}
"""What is shown of ViZDoom's categories; the dead, shots and blood are not."""
N_WALLS = 5

UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
FEATURES: dict[str, tuple[float, float]] = {
    "health": UNIT,
    "ammo": UNIT,
    "kills": UNIT,
    "position_x": SIGNED,
    "position_y": SIGNED,
    "heading_sin": SIGNED,
    "heading_cos": SIGNED,
    "enemy_seen": UNIT,
    "enemy_bearing": SIGNED,
    "enemy_distance": UNIT,
    "pickup_seen": UNIT,
    "pickup_bearing": SIGNED,
    "pickup_distance": UNIT,
    "wall_far_left": UNIT,
    "wall_left": UNIT,
    "wall_ahead": UNIT,
    "wall_right": UNIT,
    "wall_far_right": UNIT,
}
"""Name and range of every element of the observation.

Health, ammunition of the weapon in hand and kills of the episode over ``FULL_HEALTH``, ``FULL_AMMO`` and
``MANY_KILLS``, position over ``MAP_UNITS``, cut at the ends; heading counter-clockwise from +x. A bearing runs from -1
at the left edge of the picture to 1 at its right edge, a distance from 0 to 1 at ``FAR_UNITS``, both of the nearest
enemy or pickup in sight; with none in sight, *seen* and bearing are 0 and the distance is 1. A wall is the nearest
thing within its fifth of the horizon, by the depth buffer: 1 is as far as that reaches.
"""
LOW, HIGH = np.array(list(FEATURES.values()), np.float32).T


class Target(NamedTuple):
    """The nearest thing of a kind in sight: whether there is one, its bearing and distance."""

    seen: float = 0.0
    bearing: float = 0.0
    distance: float = 1.0


class View(NamedTuple):
    """What is seen: nearest enemy and pickup, walls from left to right, the picture shown, the screen in colours."""

    enemy: Target
    pickup: Target
    walls: tuple[float, ...]
    frame: Picture
    screen: Picture


def view_of(state: vizdoom.GameState, shown: str, x: float, y: float) -> View:
    """Look at a state from the player's position, map units; ``shown`` is depth, labels or grey."""
    depth, screen = _without_own_gun(state), np.asarray(state.screen_buffer)
    labels = state.labels or []
    enemies = [label for label in labels if KINDS.get(label.object_category) == ENEMY]
    pickups = [label for label in labels if KINDS.get(label.object_category) == PICKUP]
    width = depth.shape[1]
    if shown == "depth":
        frame = 255 - depth
    elif shown == "labels":
        frame = _drawn(np.asarray(state.labels_buffer), enemies, pickups)
    else:
        frame = grey(screen)
    nearest = depth[len(depth) // 2].reshape(N_WALLS, -1).min(axis=1)
    walls = tuple((nearest / 255).tolist())
    return View(_nearest(enemies, width, x, y), _nearest(pickups, width, x, y), walls, frame, screen)


def grey(screen: Picture) -> Picture:
    """Return the brightness of a picture in colours (ITU-R BT.601), in integers."""
    weighted = screen.astype(np.uint16) @ np.array([77, 150, 29], np.uint16)
    return (weighted >> 8).astype(np.uint8)


def features(variables: dict[str, float], view: View) -> Vector:
    """Return the observation, in the order of ``FEATURES``."""
    angle = variables["ANGLE"]
    values = (
        variables["HEALTH"] / FULL_HEALTH, variables["SELECTED_WEAPON_AMMO"] / FULL_AMMO,
        variables["KILLCOUNT"] / MANY_KILLS, variables["POSITION_X"] / MAP_UNITS, variables["POSITION_Y"] / MAP_UNITS,
        sine(angle), sine(angle + 90.0), *view.enemy, *view.pickup, *view.walls,
    )  # fmt: skip
    return np.clip(np.array(values, np.float32), LOW, HIGH)


def sine(degrees: float) -> float:
    """Return the sine by its Taylor series, within 1e-7 and the same on every machine."""
    turned = degrees % 360.0 - 180.0
    folded = 180.0 - turned if turned > 90.0 else -180.0 - turned if turned < -90.0 else turned
    y = -folded * math.pi / 180.0
    square = y * y
    total = 1.0
    for product in (110.0, 72.0, 42.0, 20.0, 6.0):
        total = 1.0 - square / product * total
    return y * total


def _nearest(labels: list[Any], width: int, x: float, y: float) -> Target:
    if not labels:
        return Target()
    distances = [math.sqrt((o.object_position_x - x) ** 2 + (o.object_position_y - y) ** 2) for o in labels]
    nearest = labels[distances.index(min(distances))]
    bearing = (2 * nearest.x + nearest.width) / width - 1.0
    return Target(1.0, bearing, min(1.0, min(distances) / FAR_UNITS))


def _without_own_gun(state: vizdoom.GameState) -> Picture:
    """Return the depth buffer, with nothing where the player's own weapon hides it."""
    depth = np.asarray(state.depth_buffer)
    own = [label.value for label in state.labels or [] if label.object_category == "Self"]
    return np.where(np.asarray(state.labels_buffer) == own[0], np.uint8(255), depth) if own else depth


def _drawn(labels: Picture, enemies: list[Any], pickups: list[Any]) -> Picture:
    greys = np.zeros(256, np.uint8)
    greys[[label.value for label in pickups]] = PICKUP
    greys[[label.value for label in enemies]] = ENEMY
    return greys[labels]
