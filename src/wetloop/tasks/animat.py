"""An animat as a Gymnasium environment, after Bakkum, Chao and Potter (J. Neural Eng. 5, 310, 2008).

The animat stands in a square arena. A probe, another one in each quadrant, tells the culture where it is; the centre of
the activity that follows, less what it was in a pretest, is the direction of its next step. Directions within 30
degrees of the way to the middle are on target. Square roots are the only functions used.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import numpy.typing as npt

from wetloop.tasks.probing import Probing

if TYPE_CHECKING:
    from wetloop.tasks.probing_config import AnimatConfig

Vector = npt.NDArray[np.float32]
Point = tuple[float, float]

PROBES = 4
MOST_SPIKES = 1e6
COS_30 = 0.8660254037844387
DIAGONAL = 0.7071067811865476
INWARDS: tuple[Point, ...] = (
    (-DIAGONAL, -DIAGONAL), (DIAGONAL, -DIAGONAL), (-DIAGONAL, DIAGONAL), (DIAGONAL, DIAGONAL),
)  # fmt: skip
"""From the quadrants of positive x and y, negative x, negative y, and both negative, to the middle."""


class Animat(gymnasium.Env[Vector, Vector]):
    """Probes, takes the culture's answer for a direction, and makes one step.

    The action is the number of spikes in the decision and the sums of their places, as the decoder ``centre`` tells
    them. The observation is ``probe_0_ms`` to ``probe_3_ms`` (the probe of this quadrant is due so soon after the
    decision; 0: none is announced), and the animat's place, from -1 to 1.

    ``info["events"]`` tells when the answer is complete: ``pretest``, or ``moved`` and ``on_target`` or ``off_target``,
    and ``left`` where the animat has left the arena, which ends an episode: it is put back anywhere, else it would stay
    in the quadrant out of which it walks. An answer without spikes is off target and moves nothing. The reward is 1 for
    a movement on target.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": []}
    observation_names = (*(f"probe_{k}_ms" for k in range(PROBES)), "x", "y")
    action_names = ("spikes", "x_sum", "y_sum")

    def __init__(self, config: AnimatConfig, decision_ms: float) -> None:
        self.config = config
        self._probing = Probing.of(
            period_ms=1000 * config.period_s, ahead_ms=config.ahead_ms, window_ms=config.window_ms,
            decision_ms=decision_ms,
        )  # fmt: skip
        high = np.array((*[config.ahead_ms] * PROBES, 1, 1), np.float32)
        low = np.array((*[0] * PROBES, -1, -1), np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-MOST_SPIKES, MOST_SPIKES, (len(self.action_names),), np.float32)
        self._at: Point = (0.0, 0.0)
        self._step, self._trials = 0, 0
        self._sums = [0.0, 0.0, 0.0]
        self._usual = [[0.0, 0.0, 0.0] for _ in range(PROBES)]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Put the animat at a random place; a seed also begins with the pretest. Probes go on at their pace."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._step, self._trials = 0, 0
            self._sums = [0.0, 0.0, 0.0]
            self._usual = [[0.0, 0.0, 0.0] for _ in range(PROBES)]
        self._at = (2 * float(self.np_random.random()) - 1, 2 * float(self.np_random.random()) - 1)
        return self._observation(), {"events": ()}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Take in what came in one decision."""
        self._step += 1
        if self._probing.listens(self._step):
            self._sums = [total + float(value) for total, value in zip(self._sums, action, strict=True)]
        events = self._answered() if self._probing.closes(self._step) else ()
        return self._observation(), float("on_target" in events), "left" in events, False, {"events": events}

    @property
    def quadrant(self) -> int:
        """Number of the probe that tells where the animat is; in the pretest, of the one whose turn it is."""
        if self._trials < PROBES * self.config.pretest_probes:
            return self._trials % PROBES
        return (self._at[0] < 0) + 2 * (self._at[1] < 0)

    def _answered(self) -> tuple[str, ...]:
        """Return what the answer to a probe comes to."""
        probe, sums = self.quadrant, self._sums
        pretest = self._trials < PROBES * self.config.pretest_probes
        self._trials += 1
        self._sums = [0.0, 0.0, 0.0]
        if pretest:
            usual, where = self._usual[probe], centre(sums)
            self._usual[probe] = [usual[0] + 1, usual[1] + where[0], usual[2] + where[1]]
            return ("pretest",)
        events = ("moved", "on_target" if self._moves(probe, sums) else "off_target")
        return (*events, "left") if max(map(abs, self._at)) >= 1 else events

    def _moves(self, probe: int, sums: list[float]) -> bool:
        """Make a step where there is an answer; return whether its direction is on target."""
        (x, y), (usual_x, usual_y) = centre(sums), centre(self._usual[probe])
        dx, dy = x - usual_x, y - usual_y
        length = math.sqrt(dx * dx + dy * dy)
        if not sums[0] or not length:
            return False
        dx, dy = dx / length, dy / length
        self._at = (_inside(self._at[0] + self.config.stride * dx), _inside(self._at[1] + self.config.stride * dy))
        return dx * INWARDS[probe][0] + dy * INWARDS[probe][1] >= COS_30

    def _observation(self) -> Vector:
        due_ms = [0.0] * PROBES
        if self._probing.announces(self._step):
            due_ms[self.quadrant] = self.config.ahead_ms
        return np.array((*due_ms, *self._at), np.float32)


def centre(sums: list[float]) -> Point:
    """Return the mean of a number of places, by their sums; of none it is the middle."""
    n, x, y = sums
    return (x / n, y / n) if n else (0.0, 0.0)


def _inside(x: float) -> float:
    return min(1.0, max(-1.0, x))
