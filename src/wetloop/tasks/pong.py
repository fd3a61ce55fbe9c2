"""One-player Pong as a Gymnasium environment: paddle at x = 0, opposite wall at x = 1, y points up.

A step lasts one decision. ``info["events"]`` tells what happened in it: serve, hit, miss, bounce off a wall.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from wetloop.tasks.config import PongConfig

Vector = npt.NDArray[np.float32]

PLANE = 1e-9
"""A ball this near to the paddle's plane or the opposite wall is there: rounding adds up over a crossing."""


class Pong(gymnasium.Env[Vector, Vector]):
    """Pong whose action is the paddle's velocity as a fraction of full speed, positive upwards.

    The observation is (ball_x, ball_y, ball_vx, ball_vy, paddle_y): positions as fractions of the field,
    velocities in fields per second. A hit is rewarded with 1 and sends the ball back at a new random slope; a
    miss costs 1.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": ["rgb_array"], "render_fps": 100}
    observation_names = ("ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_y")
    action_names = ("paddle",)

    def __init__(
        self, config: PongConfig | None = None, decision_ms: float = 10.0, render_mode: str | None = None
    ) -> None:
        self.config = config or PongConfig()
        self.render_mode = render_mode
        self._dt_s = decision_ms / 1000
        self._speed = 1 / self.config.crossing_s
        self._stride = self.config.paddle_speed * self._dt_s
        self._half = self.config.paddle / 2
        self._x, self._y, self._vx, self._vy, self._paddle = 1.0, 0.5, -self._speed, 0.0, 0.5
        steep = self._speed * self.config.max_slope
        low = np.array((0, 0, -self._speed, -steep, 0), np.float32)
        high = np.array((1, 1, self._speed, steep, 1), np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Serve from the opposite wall at a random height and slope; a seed also centres the paddle."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._paddle = 0.5
        margin = self.config.serve_margin
        self._x, self._y = 1.0, margin + (1 - 2 * margin) * self.np_random.random()
        self._vx, self._vy = -self._speed, self._random_vy()
        return self._observation(), {"events": ("serve",)}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Move the paddle, then the ball."""
        paddle = self._paddle + self._stride * min(1.0, max(-1.0, float(action[0])))
        self._paddle = min(1.0 - self._half, max(self._half, paddle))
        events = self._fly()
        reward = 1.0 if "hit" in events else -1.0 if "miss" in events else 0.0
        terminated = reward < 0 and self.config.miss_ends_episode
        return self._observation(), reward, terminated, False, {"events": events}

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Return the field as a grey picture, shape (90, 120, 3), or None without a render mode."""
        if self.render_mode != "rgb_array":
            return None
        picture = np.zeros((90, 120, 3), np.uint8)
        row, column = round(86 * (1 - self._y)), 3 + round(112 * self._x)
        picture[row : row + 4, column : column + 4] = 255
        top = round(90 * (1 - self._paddle - self._half))
        picture[top : top + round(90 * self.config.paddle), :3] = 255
        return picture

    def _fly(self) -> tuple[str, ...]:
        """Move the ball by one step and return what happened to it."""
        before = self._y
        self._x += self._vx * self._dt_s
        self._y = before + self._vy * self._dt_s
        if self._x <= PLANE and self._vx < 0:
            return self._reach_paddle(before)
        events: tuple[str, ...] = ()
        if self._x >= 1 - PLANE and self._vx > 0:
            self._x, self._vx = min(1.0, 2 - self._x), -self._vx
            events = ("bounce",)
        return events + self._fold()

    def _reach_paddle(self, before: float) -> tuple[str, ...]:
        """Let the paddle return the ball, or not, where the ball crossed its plane."""
        since_s = max(0.0, -self._x / self._speed)
        self._x, self._y = 0.0, before + self._vy * (self._dt_s - since_s)
        events = self._fold()
        hit = abs(self._y - self._paddle) <= self._half
        if hit:
            self._vy = self._random_vy()
        if hit or not self.config.miss_ends_episode:
            self._vx = self._speed
            self._x, self._y = since_s * self._speed, self._y + self._vy * since_s
        return (*events, "hit" if hit else "miss", *self._fold())

    def _fold(self) -> tuple[str, ...]:
        """Reflect a ball that went through the upper or lower wall."""
        if 0.0 <= self._y <= 1.0:
            return ()
        self._y = -self._y if self._y < 0 else 2.0 - self._y
        self._vy = -self._vy
        return ("bounce",)

    def _random_vy(self) -> float:
        slope = self.config.min_slope + (self.config.max_slope - self.config.min_slope) * self.np_random.random()
        return self._speed * slope * (1 if self.np_random.random() < 0.5 else -1)

    def _observation(self) -> Vector:
        return np.array((self._x, self._y, self._vx, self._vy, self._paddle), np.float32)
