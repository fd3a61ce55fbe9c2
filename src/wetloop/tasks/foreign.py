"""A Gymnasium environment that knows nothing of Wetloop, as a task: small observations, simple actions, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from wetloop.core.errors import ConfigError
from wetloop.tasks.action_maps import action_map
from wetloop.tasks.event_rules import EventRules, Moment
from wetloop.tasks.pictures import grey, is_picture, pooled, shrunk
from wetloop.tasks.runner import observation_converter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.tasks.gymnasium_config import GymnasiumConfig

Vector = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

MOST_ELEMENTS = 4096


class ForeignTask(gymnasium.Env[Vector, npt.NDArray[np.float64]]):
    """Steps an environment by values in [-1, 1] and answers with a vector of floats and events.

    Parameters
    ----------
    env
        The environment.
    config
        How observations, actions, pictures and events are made.
    step_ms
        What one step lasts, ms.

    Attributes
    ----------
    observation_names, action_names
        One name for each element of the observation and of the action.
    frame_shape
        Shape of ``picture()``; empty where there is none.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], config: GymnasiumConfig, step_ms: float) -> None:
        self._env, self._config = env, config
        self.metadata, self.render_mode = env.metadata, env.render_mode
        self._to_vector, self.observation_names = observation_view(env.observation_space, config)
        self._to_action, n_values = action_map(env.action_space, config)
        self.action_names = _named("action", config.action_names, [f"action {i}" for i in range(n_values)])
        shape = (len(self.observation_names),)
        self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (n_values,), np.float64)
        self._rules = EventRules(config.events, self.observation_names, step_ms)
        self._shown: Any = None
        self.frame_shape = self._look()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Begin an episode."""
        self._shown, info = self._env.reset(seed=seed, options=options)
        vector = self._to_vector(self._shown)
        return vector, _plain(info) | {"events": self._rules.begin(Moment(vector, info))}

    def step(self, action: npt.NDArray[np.float64]) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Make one step of the environment's own."""
        self._shown, gained, terminated, truncated, info = self._env.step(self._to_action(action))
        vector, reward = self._to_vector(self._shown), float(gained)
        events = self._rules.step(Moment(vector, info, reward, terminated, truncated))
        return vector, reward, bool(terminated), bool(truncated), _plain(info) | {"events": events}

    def render(self) -> Any:
        """Return what the environment renders."""
        return self._env.render()

    def picture(self) -> Picture:
        """Return what a player sees now, of the shape ``frame_shape``."""
        seen = self._env.render() if self._config.frame == "render" else self._shown
        return shrunk(np.asarray(seen, np.uint8), self._config.frame_size)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _look(self) -> tuple[int, ...]:
        """Return the shape of the pictures, by looking at one."""
        config = self._config
        if config.frame == "none":
            return ()
        if config.frame == "observation" and not is_picture(self._env.observation_space):
            raise ConfigError(
                f"task.frame: observations of {config.id} are no pictures ({self._env.observation_space}): "
                "choose render or none"
            )
        self._shown, _ = self._env.reset(seed=0)
        try:
            seen = np.asarray(self._env.render() if config.frame == "render" else self._shown)
        except Exception as error:
            raise ConfigError(f"task.frame: {config.id} cannot render: {error}") from error
        _check_size("frame_size", seen.shape, config.frame_size or (1, 1))
        return self.picture().shape


class Pictured(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Shows the task's picture at the end of each decision as ``info["frame"]``."""

    def __init__(self, env: gymnasium.Env[Any, Any], task: ForeignTask) -> None:
        super().__init__(env)
        self._task = task

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"frame": self._task.picture()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play one decision."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info | {"frame": self._task.picture()}


def observation_view(
    space: spaces.Space[Any], config: GymnasiumConfig
) -> tuple[Callable[[Any], Vector], tuple[str, ...]]:
    """Return what makes a small vector of an observation, and the names of its elements.

    A picture is turned grey and pooled; anything else is flattened.
    """
    if is_picture(space):
        to_vector, names = _picture_view(space.shape or (), config.observation_size)
    else:
        to_vector, n = observation_converter(space)
        names = [f"observation {i}" for i in range(n)]
    kept = range(len(names)) if config.observation_elements is None else config.observation_elements
    if any(i >= len(names) for i in kept):
        raise ConfigError(f"task.observation_elements: observations of {config.id} have elements 0 to {len(names) - 1}")
    if len(kept) > MOST_ELEMENTS:
        raise ConfigError(
            f"observations of {config.id} have {len(kept)} elements, too many to record each decision: choose at most "
            f"{MOST_ELEMENTS} with task.observation_elements"
        )
    picked = _named("observation", config.observation_names, [names[i] for i in kept])
    if config.observation_elements is None:
        return to_vector, picked
    index = np.array(config.observation_elements, np.int64)
    return lambda observation: to_vector(observation)[index], picked


def _picture_view(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[Callable[[Any], Vector], list[str]]:
    _check_size("observation_size", shape, size)
    rows, columns = size
    names = [f"row {row} column {column}" for row in range(rows) for column in range(columns)]
    return lambda picture: (pooled(grey(picture), rows, columns) / 255).astype(np.float32).ravel(), names


def _check_size(field: str, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    if len(shape) < 2 or size[0] > shape[0] or size[1] > shape[1]:
        raise ConfigError(f"task.{field} {size[0]} x {size[1]} is larger than the picture, whose shape is {shape}")


def _named(what: str, given: tuple[str, ...], default: list[str]) -> tuple[str, ...]:
    if given and len(given) != len(default):
        raise ConfigError(f"task.{what}_names: {len(given)} names for {len(default)} values ({', '.join(default[:8])})")
    return given or tuple(default)


def _plain(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers and texts of an environment's own info: the rest could be of any size."""
    return {key: value for key, value in info.items() if isinstance(value, bool | int | float | str | np.generic)}
