"""Learning by stimulus removal as a Gymnasium environment, after Shahaf and Marom (J. Neurosci. 21, 8782, 2001).

Two electrodes are driven at a low rate until another one, chosen beforehand for answering seldom, answers often enough;
then stimulation is removed. A *stimulus* is one pulse on the pair, a *response* a spike on the chosen electrode in the
window after it. A cycle, from the first stimulus to the removal, is an episode; the rest after it is a matter of
feedback, which holds the task.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import numpy.typing as npt

from wetloop.tasks.probing import Probing

if TYPE_CHECKING:
    from wetloop.tasks.probing_config import StimulusRemovalConfig

Vector = npt.NDArray[np.float32]
NONE = -1
MOST = 1e6
"""No session has so many cycles, and no decision so many spikes."""


class StimulusRemoval(gymnasium.Env[Vector, Vector]):
    """Drives, counts responses and removes.

    The action is the number of spikes of each electrode in the decision, as the decoder tells it. The observation is
    ``pulse_ms`` (the next pulse is due so soon after the decision; 0: none is announced), the responses among the
    last stimuli, the chosen electrode (-1 while it is sought) and the cycle.

    ``info["events"]`` tells, when a window closes: ``pretest`` or ``stimulus``; ``response``; ``criterion`` the first
    time in a cycle that it is met; ``removed``; ``chosen`` at the end of the pretest, which is no cycle.
    """

    metadata = gymnasium.Env.metadata | {"render_modes": []}
    observation_names = ("pulse_ms", "responses", "target", "cycle")

    def __init__(self, config: StimulusRemovalConfig, decision_ms: float) -> None:
        self.config = config
        self._probing = Probing.of(
            period_ms=1000 / config.rate_hz, ahead_ms=config.ahead_ms, window_ms=config.window_ms,
            decision_ms=decision_ms,
        )  # fmt: skip
        self.action_names = tuple(f"electrode {i}" for i in range(config.electrodes))
        high = np.array((config.ahead_ms, config.of_stimuli, config.electrodes, MOST), np.float32)
        self.observation_space = gymnasium.spaces.Box(np.array((0, 0, NONE, NONE), np.float32), high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, MOST, (config.electrodes,), np.float32)
        self._recent: deque[bool] = deque(maxlen=config.of_stimuli)
        self._answered = np.zeros(config.electrodes, np.int64)
        self._heard = np.zeros(config.electrodes, bool)
        self._target, self._cycle, self._step, self._stimuli, self._master = NONE, NONE, 0, 0, 0
        self._met = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Begin the next cycle; a seed begins with the pretest and, where removals are yoked, draws their master."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._target, self._cycle = NONE, NONE
            self._answered[:] = 0
            self._master = int(self.np_random.integers(max(1, len(self.config.yoked_stimuli))))
        elif self._target != NONE:
            self._cycle += 1
        self._recent.clear()
        self._heard[:] = False
        self._step, self._stimuli, self._met = 0, 0, False
        return self._observation(), {"events": ()}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Count what came in one decision; the reward is 1 for a response of the chosen electrode."""
        self._step += 1
        if self._probing.listens(self._step):
            self._heard |= action > 0
        events = self._closed() if self._probing.closes(self._step) else ()
        return (
            self._observation(), float("response" in events), "removed" in events, "chosen" in events,
            {"events": events},
        )  # fmt: skip

    def _closed(self) -> tuple[str, ...]:
        """Return what a window that has closed comes to."""
        self._stimuli += 1
        heard = self._heard.copy()
        self._heard[:] = False
        return self._sought(heard) if self._target == NONE else self._driven(heard=bool(heard[self._target]))

    def _sought(self, heard: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        self._answered += heard
        if self._stimuli < self.config.pretest_stimuli:
            return ("pretest",)
        free = [i for i in range(self.config.electrodes) if i not in self.config.excluded]
        wanted = self.config.start_ratio * self._stimuli
        self._target = min(free, key=lambda i: (abs(int(self._answered[i]) - wanted), i))
        return ("pretest", "chosen")

    def _driven(self, *, heard: bool) -> tuple[str, ...]:
        self._recent.append(heard)
        events = ("stimulus", *(("response",) if heard else ()))
        met = sum(self._recent) >= self.config.responses
        if met and not self._met:
            self._met = True
            events += ("criterion",)
        return (*events, "removed") if self._removes() else events

    def _removes(self) -> bool:
        """Return whether stimulation is removed: it was met, or another culture's time is over."""
        if self._stimuli >= self.config.most_stimuli:
            return True
        if self.config.removal == "contingent":
            return self._met
        master = self.config.yoked_stimuli[self._master]
        return self._stimuli >= master[self._cycle % len(master)]

    def _observation(self) -> Vector:
        due_ms = self.config.ahead_ms if self._probing.announces(self._step) else 0.0
        return np.array((due_ms, sum(self._recent), self._target, self._cycle), np.float32)
