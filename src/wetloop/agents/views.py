"""What an agent is shown of Pong."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from gymnasium import spaces

from wetloop.tasks.pictures import grey, pooled

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from wetloop.core.types import Outcome
    from wetloop.tasks.runner import TaskRunner

SIDE = 40
"""Pixels of a picture's side; stable-baselines3's network for pictures takes no fewer than 36."""
APART_MS = 100
"""Time between the two pictures, ms: from one decision to the next a ball moves by less than a pixel."""


class View(Protocol):
    """Turns what the task tells into what an agent is shown."""

    space: spaces.Box[Any]

    def begin(self) -> None:
        """Forget what was shown before: a rally begins."""

    def seen(self, outcome: Outcome) -> npt.NDArray[Any]:
        """Return what is shown of an outcome."""


class Numbers:
    """Numbers of the observation: places from -1 to 1, velocities in fields per second."""

    def __init__(self, n: int, chosen: Callable[[npt.NDArray[np.float32]], list[float]]) -> None:
        self.space: spaces.Box[Any] = spaces.Box(-np.inf, np.inf, (n,), np.float32)
        self._chosen = chosen

    def begin(self) -> None:
        """Forget nothing: each observation stands for itself."""

    def seen(self, outcome: Outcome) -> npt.NDArray[np.float32]:
        return np.array(self._chosen(outcome.observation), np.float32)


class Pictures:
    """Grey pictures of the field, now and ``APART_MS`` ago, uint8 of shape (2, 40, 40)."""

    def __init__(self, task: TaskRunner, decision_ms: float) -> None:
        self.space: spaces.Box[Any] = spaces.Box(0, 255, (2, SIDE, SIDE), np.uint8)
        self._task = task
        self._shown: deque[npt.NDArray[np.uint8]] = deque(maxlen=1 + max(1, round(APART_MS / decision_ms)))

    def begin(self) -> None:
        self._shown.clear()

    def seen(self, outcome: Outcome) -> npt.NDArray[np.uint8]:
        _ = outcome
        picture = self._task.picture(drawn=True)
        if picture is not None:
            self._shown.append(pooled(grey(picture), SIDE, SIDE).astype(np.uint8))
        return np.stack([self._shown[-1], self._shown[0]])


def _everything(observation: npt.NDArray[np.float32]) -> list[float]:
    x, y, vx, vy, paddle = observation.tolist()
    return [2 * x - 1, 2 * y - 1, vx, vy, 2 * paddle - 1]


def _as_a_culture(observation: npt.NDArray[np.float32]) -> list[float]:
    x, y, _, _, paddle = observation.tolist()
    return [2 * x - 1, y - paddle]


def view_of(sees: str, task: TaskRunner, decision_ms: float) -> View:
    """Return the view of this name, as ``AgentConfig.sees`` explains them."""
    if sees == "image":
        return Pictures(task, decision_ms)
    return Numbers(5, _everything) if sees == "paddle_and_ball" else Numbers(2, _as_a_culture)
