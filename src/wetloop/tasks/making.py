"""Makes a Gymnasium environment from a configuration, and says what to do where it cannot be made."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from wetloop.tasks.gymnasium_config import GymnasiumConfig

ATARI = "ALE/"


def made(config: GymnasiumConfig) -> gymnasium.Env[Any, Any]:
    """Return the environment, with a picture where the configuration asks for what it renders.

    Raises
    ------
    ConfigError
        If there is no such environment, something that it needs is not installed, or it refuses its arguments.
    """
    if config.id.startswith(ATARI):
        _import_atari(config.id)
    for module in config.modules:
        _import(module)
    if config.id not in gymnasium.registry:
        raise ConfigError(f"task.id: Gymnasium knows no environment {config.id!r}; {_hint(config.id)}")
    kwargs: dict[str, Any] = config.kwargs | ({"render_mode": "rgb_array"} if config.frame == "render" else {})
    try:
        return gymnasium.make(config.id, disable_env_checker=True, **kwargs)
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        raise ConfigError(f"task {config.id} needs what is not installed: {error}") from error
    except Exception as error:
        raise ConfigError(f"task {config.id} cannot be made: {error}{_taken(config)}") from error


def _import_atari(wanted: str) -> None:
    try:
        import ale_py
    except ImportError as error:
        raise ConfigError(
            f"task {wanted} needs ale-py, which is not installed: pip install 'wetloop[atari]'. It is GPL-2.0-only, "
            "which then holds for what you distribute together with it"
        ) from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Warning)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        raise ConfigError(
            f"task.modules: {module} cannot be imported ({type(error).__name__}: {error}): install the package that "
            "has it"
        ) from error


def _hint(wanted: str) -> str:
    near = get_close_matches(wanted, gymnasium.registry, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "write its id with the version, such as CartPole-v1; name the package that adds it under task.modules"


def _taken(config: GymnasiumConfig) -> str:
    """Return which arguments the environment takes, where some of those given are unknown to it."""
    point = gymnasium.registry[config.id].entry_point
    creator = load_env_creator(point) if isinstance(point, str) else point
    if creator is None:
        return ""
    known = [name for name in inspect.signature(creator).parameters if name not in {"self", "render_mode", "kwargs"}]
    unknown = set(config.kwargs) - {*known, "max_episode_steps"}
    return f"; of task.kwargs it takes max_episode_steps, {', '.join(known)}" if unknown else ""
