"""A session as the environment of an agent: one step is one decision, and decisions on hold go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces

if TYPE_CHECKING:
    import threading

    import numpy.typing as npt

    from wetloop.agents.views import View
    from wetloop.assembly import Players
    from wetloop.core.types import Outcome, Tick
    from wetloop.engine.rig import Rig
    from wetloop.recording.log import DecisionLog

    Action = npt.NDArray[np.float64]

VELOCITIES = (-1.0, 0.0, 1.0)
"""Paddle down, still and up at full speed: the actions of an agent, in their order."""


class Decisions:
    """The loop of a session whose actions come from outside; feedback still decides on pauses, and all is recorded."""

    def __init__(self, rig: Rig, players: Players, log: DecisionLog, n_decisions: int, stop: threading.Event) -> None:
        self._rig, self._players, self._log = rig, players, log
        self._last_index = n_decisions - 1
        self._ticks = rig.ticks(n_decisions, stop)
        self._idle = np.zeros(players.task.n_actions)
        self.over = n_decisions < 1

    def advance(self, velocity: float) -> Outcome | None:
        """Decide until the task has played a decision, and return its outcome; None where the session is over."""
        action = np.full_like(self._idle, velocity)
        for tick in self._ticks:
            outcome = self._decide(tick, action)
            self.over = tick.decision_index >= self._last_index
            if outcome.playing:
                return outcome
        self.over = True
        return None

    def _decide(self, tick: Tick, action: Action) -> Outcome:
        task, rig = self._players.task, self._rig
        if rig.holding:
            task.hold(tick.stop_sample + 1)
        spikes = rig.spikes(tick)
        taken = self._idle if task.held(tick) else action
        outcome = task.step(taken, tick)
        response = self._players.feedback.respond(outcome, tick)
        serial = rig.submit(response.program, tick)
        task.hold(tick.stop_sample + response.hold_samples)
        self._log.decision(tick, spikes, taken, outcome, serial)
        return outcome


class Court(gymnasium.Env[Any, np.int64]):
    """Decisions as an environment: an episode is a rally, a hit is rewarded with 1 and a miss with -1.

    When the session is over, the episode is truncated, and whatever is done afterwards changes nothing.
    """

    def __init__(self, decisions: Decisions, view: View) -> None:
        self._decisions, self._view = decisions, view
        self.observation_space = view.space
        self.action_space = spaces.Discrete(len(VELOCITIES))
        self._seen = np.zeros(view.space.shape, view.space.dtype)

    @property
    def over(self) -> bool:
        """Whether the session has had all its decisions, or was stopped."""
        return self._decisions.over

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Wait until feedback is over and the ball is served."""
        super().reset(seed=seed, options=options)
        served = self._decisions.advance(0.0)
        self._view.begin()
        if served is not None:
            self._seen = self._view.seen(served)
        return self._seen, {}

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move the paddle for one decision."""
        outcome = self._decisions.advance(VELOCITIES[int(action)])
        if outcome is None:
            return self._seen, 0.0, False, True, {}
        self._seen = self._view.seen(outcome)
        return self._seen, outcome.reward, outcome.terminated, outcome.truncated or self.over, {}
