"""From a decoder's values in [-1, 1] to the action of any Gymnasium space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from wetloop.tasks.gymnasium_config import GymnasiumConfig

    Values = npt.NDArray[np.float64]
    Convert = Callable[[Values], Any]


def action_map(space: spaces.Space[Any], config: GymnasiumConfig) -> tuple[Convert, int]:
    """Return what turns a decoder's values into an action of the space, and how many values it takes.

    Raises
    ------
    ConfigError
        If the space is of no kind that can be mapped, or has no bounds, or the configuration does not fit it.
    """
    convert, n_values = _mapped(space, config)
    if config.neutral_action is None:
        return convert, n_values
    neutral = _neutral(space, config.neutral_action)
    return lambda values: convert(values) if values.any() else neutral, n_values


def _mapped(space: spaces.Space[Any], config: GymnasiumConfig) -> tuple[Convert, int]:
    if isinstance(space, spaces.Discrete):
        choices = _choices(space, config.discrete_actions)
        if config.discrete == "argmax":
            return lambda values: choices[int(values.argmax())], len(choices)
        return lambda values: choices[part(float(values[0]), len(choices))], 1
    if config.discrete_actions is not None:
        raise ConfigError(f"task.discrete_actions: {config.id} has no numbered actions but {space}: leave it out")
    if isinstance(space, spaces.Box):
        return _scaled(space, config.id), math.prod(space.shape)
    if isinstance(space, spaces.MultiBinary):
        shape = space.shape
        return lambda values: (values > 0).astype(np.int8).reshape(shape), math.prod(shape)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return _several(space), len(space.nvec)
    raise ConfigError(
        f"actions of the kind {space} cannot be played: {config.id} needs a Box, Discrete, MultiDiscrete or "
        "MultiBinary action space; wrap it in an environment of your own"
    )


def part(value: float, n: int) -> int:
    """Return in which of n equal parts of [-1, 1] a value lies."""
    return min(n - 1, max(0, int((value + 1) * n / 2)))


def _choices(space: spaces.Discrete, wanted: Sequence[int] | None) -> list[int]:
    start, n = int(space.start), int(space.n)
    choices = list(range(start, start + n) if wanted is None else wanted)
    if not choices or not all(start <= choice < start + n for choice in choices):
        raise ConfigError(f"task.discrete_actions {choices}: write some of the numbers from {start} to {start + n - 1}")
    return choices


def _scaled(space: spaces.Box, name: str) -> Convert:
    if not space.is_bounded():
        raise ConfigError(
            f"the actions of {name} have no bounds ({space}), so values from -1 to 1 cannot be scaled to them: "
            "wrap it in an environment that bounds them"
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    middle, half, shape, dtype = (low + high) / 2, (high - low) / 2, space.shape, space.dtype
    whole = np.issubdtype(dtype, np.integer)

    def convert(values: Values) -> Any:
        action = np.minimum(np.maximum(middle + half * values.reshape(shape), low), high)
        return (np.rint(action) if whole else action).astype(dtype)

    return convert


def _several(space: spaces.MultiDiscrete) -> Convert:
    sizes, starts = [int(n) for n in space.nvec], [int(start) for start in space.start]

    def convert(values: Values) -> Any:
        parts = [s + part(float(v), n) for s, v, n in zip(starts, values, sizes, strict=True)]
        return np.array(parts, space.dtype)

    return convert


def _neutral(space: spaces.Space[Any], wanted: float | tuple[float, ...]) -> Any:
    action: Any = wanted
    if not isinstance(space, spaces.Discrete):
        given = np.asarray(wanted)
        action = given.astype(space.dtype).reshape(space.shape) if given.size == math.prod(space.shape or ()) else None
    if action is None or not space.contains(action):
        raise ConfigError(f"task.neutral_action {wanted} is no action of {space}")
    return action
