"""Chemotaxis as a Gymnasium environment: an animal with two noses finds food by its smell, or by heart.

Smell is the steady concentration around a sphere that gives off what it is made of, food_radius / distance, 1 on the
food itself; those of several pieces add up (Berg and Purcell, Biophys. J. 20, 193 (1977)). Square roots are the only
functions used, so that every machine plays the same game. ``info["events"]`` tells: food, wall, starved.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from wetloop.tasks.config import ChemotaxisConfig

Vector = npt.NDArray[np.float32]
Point = tuple[float, float]

STEP_MS = 10.0
"""Longest step of the movement; longer decisions are cut."""
PIXELS = 96
ANIMAL, NOSE, FOOD = (255, 255, 255), (255, 80, 80), (80, 160, 255)


class Chemotaxis(gymnasium.Env[Vector, Vector]):
    """An animal that swims on, thrown back by walls; its action is its turn, 1 for the fastest to the left.

    The observation is what it smells (at the left and the right nose, their mean, their contrast (left - right) /
    (left + right), the mean above what it remembers), its distance from the nearest wall, the cosine and sine of
    its heading, its place, and how sated it is, from 1 after food to 0 when it starves. Food is rewarded with 1;
    starving costs 1.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": ["rgb_array"], "render_fps": 100}
    observation_names = (
        "left", "right", "mean", "contrast", "change", "wall", "heading_cos", "heading_sin", "x", "y", "sated",
    )  # fmt: skip

    def __init__(
        self, config: ChemotaxisConfig | None = None, decision_ms: float = 10.0, render_mode: str | None = None
    ) -> None:
        self.config = config or ChemotaxisConfig()
        self.render_mode = render_mode
        self._steps = max(1, math.ceil(decision_ms / STEP_MS))
        self._dt_s = decision_ms / 1000 / self._steps
        self._half_turn = self.config.turn_deg_s * math.pi / 180 * self._dt_s / 2
        self._forgets = self._dt_s / (self.config.memory_s + self._dt_s)
        self._starving_steps = max(1, round(self.config.starve_s / self._dt_s))
        self.action_names = ("turn", "speed") if self.config.throttle else ("turn",)
        n = float(self.config.sources)
        low = np.array((0, 0, 0, -1, -n, 0, -1, -1, 0, 0, 0), np.float32)
        high = np.array((n, n, n, 1, n, 0.5, 1, 1, 1, 1, 1), np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self._food: list[int] = []
        self._at: Point = (0.5, 0.5)
        self._heading: Point = (1.0, 0.0)
        self._remembered = 0.0
        self._hungry_steps = 0
        self._touches = False

    @property
    def food(self) -> tuple[Point, ...]:
        """Where the food is."""
        return tuple(self.config.places[i] for i in self._food)

    def smell(self, at: Point) -> float:
        """Return the concentration at a place, between 0 and the number of pieces of food."""
        radius = self.config.food_radius
        return sum(radius / max(radius, _distance(at, food)) for food in self.food)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Put a sated animal in the middle, heading anywhere; a seed also puts the food at places drawn anew."""
        super().reset(seed=seed, options=options)
        if seed is not None or not self._food:
            drawn = self.np_random.choice(len(self.config.places), self.config.sources, replace=False)
            self._food = [int(i) for i in drawn]
        self._at, self._heading = (0.5, 0.5), self._random_heading()
        self._hungry_steps, self._touches = 0, False
        left, right = self._noses()
        self._remembered = (left + right) / 2
        return self._observation(), {"events": ()}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Swim for one decision."""
        turn = min(1.0, max(-1.0, float(action[0])))
        share = (1 + min(1.0, max(-1.0, float(action[1])))) / 2 if self.config.throttle else 1.0
        events: tuple[str, ...] = ()
        for _ in range(self._steps):
            self._swim(turn, share)
            events += self._meet()
            if "starved" in events and self.config.starving_ends_episode:
                break
        reward = float(events.count("food") - events.count("starved"))
        terminated = "starved" in events and self.config.starving_ends_episode
        return self._observation(), reward, terminated, False, {"events": events}

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Return the dish from above, shape (96, 96, 3), smell in green, or None without a render mode."""
        if self.render_mode != "rgb_array":
            return None
        centres = (np.arange(PIXELS) + 0.5) / PIXELS
        x, y = centres[None, :], centres[::-1, None]
        picture = np.zeros((PIXELS, PIXELS, 3), np.uint8)
        radius, smell = self.config.food_radius, np.zeros((PIXELS, PIXELS))
        for at in self.food:
            smell += radius / np.maximum(radius, _apart(x, y, at))
        picture[:, :, 1] = np.minimum(200, 200 * smell)
        for at in self.food:
            picture[_apart(x, y, at) <= radius] = FOOD
        picture[_apart(x, y, self._at) <= max(self.config.radius, 1 / PIXELS)] = ANIMAL
        for nose in self._nose_places():
            picture[_apart(x, y, nose) <= 1 / PIXELS] = NOSE
        return picture

    def _swim(self, turn: float, share: float) -> None:
        """Turn, by a rotation that equals the angle for short steps, and move on; a wall throws the animal back."""
        tangent, (hx, hy) = turn * self._half_turn, self._heading
        cosine, sine = (1 - tangent * tangent) / (1 + tangent * tangent), 2 * tangent / (1 + tangent * tangent)
        hx, hy = _unit(hx * cosine - hy * sine, hx * sine + hy * cosine)
        stride, (x, y) = self.config.speed * share * self._dt_s, self._at
        x, hx = self._inside(x + stride * hx, hx)
        y, hy = self._inside(y + stride * hy, hy)
        self._at, self._heading = (x, y), (hx, hy)
        left, right = self._noses()
        self._remembered += self._forgets * ((left + right) / 2 - self._remembered)

    def _inside(self, x: float, heading: float) -> Point:
        """Return coordinate and heading along one axis, after the walls at its ends."""
        least, most = self.config.radius, 1 - self.config.radius
        if x <= least:
            return least, abs(heading)
        return (most, -abs(heading)) if x >= most else (x, heading)

    def _meet(self) -> tuple[str, ...]:
        """Return what the animal ran into, and whether it has starved."""
        self._hungry_steps += 1
        events = self._eat()
        touched, self._touches = self._touches, self._at_wall()
        if self._touches and not touched:
            events = (*events, "wall")
        if self._hungry_steps < self._starving_steps:
            return events
        if not self.config.starving_ends_episode:
            self._hungry_steps = 0
        return (*events, "starved")

    def _eat(self) -> tuple[str, ...]:
        """Eat what is within reach; it appears again elsewhere."""
        eaten = [i for i, place in enumerate(self.food) if _distance(self._at, place) <= self.config.food_radius]
        for i in eaten:
            self._food[i] = self._next_place(self._food[i])
            self._hungry_steps = 0
        return ("food",) * len(eaten)

    def _at_wall(self) -> bool:
        return any(x in {self.config.radius, 1 - self.config.radius} for x in self._at)

    def _next_place(self, eaten: int) -> int:
        places = len(self.config.places)
        free = [i % places for i in range(eaten + 1, eaten + places) if i % places not in self._food]
        return free[0] if self.config.order == "cycle" else free[int(self.np_random.integers(len(free)))]

    def _random_heading(self) -> Point:
        while True:
            x, y = (2 * float(u) - 1 for u in self.np_random.random(2))
            if 0.01 < x * x + y * y <= 1:
                return _unit(x, y)

    def _wall(self) -> float:
        return min(*self._at, 1 - self._at[0], 1 - self._at[1])

    def _nose_places(self) -> tuple[Point, Point]:
        (x, y), (hx, hy) = self._at, self._heading
        x, y, aside = x + self.config.sensor_ahead * hx, y + self.config.sensor_ahead * hy, self.config.sensor_apart / 2
        return (x - aside * hy, y + aside * hx), (x + aside * hy, y - aside * hx)

    def _noses(self) -> tuple[float, float]:
        left, right = self._nose_places()
        return self.smell(left), self.smell(right)

    def _observation(self) -> Vector:
        left, right = self._noses()
        mean = (left + right) / 2
        contrast, sated = (left - right) / (left + right), 1 - self._hungry_steps / self._starving_steps
        return np.array(
            (
                left, right, mean, contrast, mean - self._remembered, self._wall(), *self._heading, *self._at, sated,
            ), np.float32,
        )  # fmt: skip


def _unit(x: float, y: float) -> Point:
    length = math.sqrt(x * x + y * y)
    return x / length, y / length


def _distance(one: Point, other: Point) -> float:
    dx, dy = one[0] - other[0], one[1] - other[1]
    return math.sqrt(dx * dx + dy * dy)


def _apart(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], at: Point) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel from a place."""
    return np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2)
