"""Plays a Gymnasium environment: steps, holds and resets it, converts its actions and observations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from wetloop.core.errors import ConfigError
from wetloop.core.types import Answer, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import gymnasium
    import numpy.typing as npt

    from wetloop.core.types import Tick

    Action = npt.NDArray[np.float64]
    Observation = npt.NDArray[np.float32]


class TaskRunner:
    """Steps a task, except while a feedback rule holds it.

    Parameters
    ----------
    env
        The task.
    seed
        Seeds the first reset; later episodes go on with the environment's own generator.
    n_actions
        Length of the decoder's vector; by default the size of a Box, or one value for Discrete actions.
    scores
        By default take one score for each Discrete action instead.

    Attributes
    ----------
    action_names, observation_names
        One name per element of what ``step`` takes and returns: those of the environment where it has them.
    frame_shape
        Shape of the picture that the environment shows in ``info["frame"]``, as its own ``frame_shape`` says.
    episode
        Number of the current episode, from 0.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], seed: int, n_actions: int | None = None, *, scores: bool = False
    ) -> None:
        self._env = env
        self._seed: int | None = seed
        self._to_action, sizes = action_converter(env.action_space)
        self._to_vector, n_observations = observation_converter(env.observation_space)
        n_actions = sizes[-1 if scores else 0] if n_actions is None else n_actions
        if n_actions not in sizes:
            wanted = " or ".join(map(str, sizes))
            raise ConfigError(
                f"the decoder gives {n_actions} actions, but the task takes {wanted}: choose another decoder"
            )
        self.action_names = _names(env, "action", n_actions)
        self.observation_names = _names(env, "observation", n_observations)
        self.frame_shape: tuple[int, ...] = getattr(env.unwrapped, "frame_shape", ())
        self.episode = -1
        self._answers = {"reused": 0, "restarted": 0}
        self._over = True
        self._hold_until = 0
        self._last: Outcome

    @property
    def n_actions(self) -> int:
        """Length of the action vector."""
        return len(self.action_names)

    @property
    def n_observations(self) -> int:
        """Length of the observation vector."""
        return len(self.observation_names)

    @property
    def answers(self) -> dict[str, int]:
        """How often the task was late, begun anew, or said what could not be used.

        ``reused``: the last observation was told again; ``restarted``: the task was begun anew after it died or froze;
        other kinds count messages of a program elsewhere that changed nothing.
        """
        return self._answers | dict(getattr(self._env.unwrapped, "refused", {}))

    @property
    def shows_pictures(self) -> bool:
        """Whether the task can show what a player would see."""
        return bool(self.frame_shape) or self._env.render_mode == "rgb_array"

    def picture(self, *, drawn: bool = False) -> npt.NDArray[np.uint8] | None:
        """Return what there is to see after the last step, uint8 (height, width) or (height, width, 3), if anything.

        The picture that encoders are given comes first; with ``drawn`` the one that the task draws for people.
        """
        if self._env.render_mode != "rgb_array" or (self._last.frame is not None and not drawn):
            return self._last.frame
        seen = self._env.render()
        return None if seen is None else np.asarray(seen, np.uint8)

    def _begin(self) -> Outcome:
        observation, info = self._env.reset(seed=self._seed)
        self._seed = None
        self._over = info.get("answer") == Answer.RESTARTED
        self.episode += 1
        return self._tell(observation, 0.0, terminated=False, truncated=self._over, info=info)

    def close(self) -> None:
        """End the task."""
        self._env.close()

    def hold(self, until_sample: int) -> None:
        """Do not step the task in decisions that close before ``until_sample``."""
        self._hold_until = max(self._hold_until, until_sample)

    def held(self, tick: Tick) -> bool:
        """Return whether the task is on hold in this decision."""
        return tick.stop_sample < self._hold_until

    def step(self, action: Action, tick: Tick) -> Outcome:
        """Return what the task answers; a decision that begins an episode (the first does) ignores the action."""
        if tick.stop_sample < self._hold_until:
            return self._pause()
        if self._over:
            return self._begin()
        observation, reward, terminated, truncated, info = self._env.step(self._to_action(action))
        self._over = terminated or truncated
        return self._tell(observation, float(reward), terminated=terminated, truncated=truncated, info=info)

    def _tell(
        self, observation: Any, reward: float, *, terminated: bool, truncated: bool, info: dict[str, Any]
    ) -> Outcome:
        # Each event once: a recording has one bit for it, and what a replay is told must be what the session was told.
        vector, events = self._to_vector(observation), tuple(dict.fromkeys(info.get("events", ())))
        frame, answer = info.get("frame"), info.get("answer", Answer.FRESH)
        self._answers["reused"] += answer == Answer.REUSED
        self._answers["restarted"] += answer == Answer.RESTARTED
        info = {**info, "episode": self.episode}
        self._last = Outcome(vector, reward, terminated, truncated, events, True, info, frame, answer)
        return self._last

    def _pause(self) -> Outcome:
        if self._last.playing:
            info = {"episode": self.episode}
            observation, frame = self._last.observation, self._last.frame
            self._last = Outcome(observation, 0.0, False, False, (), playing=False, info=info, frame=frame)
        return self._last


def action_converter(space: spaces.Space[Any]) -> tuple[Callable[[Action], Any], tuple[int, ...]]:
    """Return what turns a decoder's vector into an action of the space, and the vector lengths that it takes.

    A Box is clipped. Discrete actions come as one score each, the largest wins, or as a single value, whose
    range [-1, 1] is cut into equal parts.
    """
    if isinstance(space, spaces.Box):
        low, high, shape, dtype = space.low, space.high, space.shape, space.dtype

        def to_box(action: Action) -> Any:
            return np.minimum(np.maximum(action.reshape(shape), low), high).astype(dtype)

        return to_box, (math.prod(shape),)
    if isinstance(space, spaces.Discrete):
        first, n = int(space.start), int(space.n)

        def to_index(action: Action) -> int:
            chosen = (
                int(action.argmax()) if len(action) > 1 else min(n - 1, max(0, int((float(action[0]) + 1) * n / 2)))
            )
            return first + chosen

        return to_index, (1, n)
    raise ConfigError(f"actions of the kind {space} cannot be played: the task needs a Box or Discrete action space")


def observation_converter(space: spaces.Space[Any]) -> tuple[Callable[[Any], Observation], int]:
    """Return what flattens an observation of the space to float32, and the length of the result."""
    if isinstance(space, spaces.Box):
        return lambda observation: np.asarray(observation, np.float32).ravel(), math.prod(space.shape)
    if not space.is_np_flattenable:
        raise ConfigError(f"observations of the kind {space} cannot be flattened to a vector: wrap the task")
    return lambda observation: np.asarray(spaces.flatten(space, observation), np.float32), spaces.flatdim(space)


def _names(env: gymnasium.Env[Any, Any], what: str, n: int) -> tuple[str, ...]:
    given = tuple(getattr(env.unwrapped, f"{what}_names", ()))
    return given if len(given) == n else tuple(f"{what} {i}" for i in range(n))
