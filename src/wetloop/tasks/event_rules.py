"""Events for environments that name none: rules on reward, observation, info and the ends of episodes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from wetloop.tasks.gymnasium_config import EventConfig


class Moment(NamedTuple):
    """What an environment answered to one step."""

    observation: npt.NDArray[np.float32]
    info: Mapping[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False


class EventRules:
    """Tells which events happened in each step.

    Parameters
    ----------
    configs
        The rules by the names of their events; they are told in this order.
    observation_names
        Names of the elements of the observation.
    step_ms
        Length of one step, ms.
    """

    def __init__(self, configs: Mapping[str, EventConfig], observation_names: Sequence[str], step_ms: float) -> None:
        self._at_begin = tuple(name for name, config in configs.items() if config.when == "begun")
        self._rules = {
            name: EventRule(config, _reader(name, config, observation_names), step_ms)
            for name, config in configs.items()
            if config.when != "begun"
        }

    def begin(self, moment: Moment) -> tuple[str, ...]:
        """Return what a new episode tells: its first observation is where changes are counted from, and no event."""
        for rule in self._rules.values():
            rule.begin(moment)
        return self._at_begin

    def step(self, moment: Moment) -> tuple[str, ...]:
        """Return the events of one step."""
        return tuple([name for name, rule in self._rules.items() if rule.tells(moment)])


class EventRule:
    """One event: a number, what must be true of it, and when that is told."""

    def __init__(self, config: EventConfig, read: Callable[[Moment], float], step_ms: float) -> None:
        self._config, self._read, self._step_ms = config, read, step_ms
        self._low = -math.inf if config.above is None else config.above
        self._high = math.inf if config.below is None else config.below
        self._last = math.nan
        self._held = False
        self._lasted_ms = 0.0
        self._since_ms = math.inf

    def begin(self, moment: Moment) -> None:
        """Forget the last episode."""
        self._last = self._read(moment)
        self._held = self._low < self._last < self._high
        self._lasted_ms, self._since_ms = 0.0, math.inf

    def tells(self, moment: Moment) -> bool:
        """Return whether the event is told in this step."""
        value = self._read(moment)
        holds = self._holds(value)
        self._since_ms += self._step_ms
        told = self._due(holds=holds) and self._since_ms >= self._config.pause_ms
        self._last, self._held = value, holds
        if told:
            self._since_ms = 0.0
        return told

    def _holds(self, value: float) -> bool:
        config = self._config
        if (config.rises and not value > self._last) or (config.falls and not value < self._last):
            return False
        return self._low < value < self._high

    def _due(self, *, holds: bool) -> bool:
        if self._config.every_ms is None:
            return holds and (self._config.momentary or not self._held)
        self._lasted_ms = self._lasted_ms + self._step_ms if holds else 0.0
        if self._lasted_ms < self._config.every_ms:
            return False
        self._lasted_ms -= self._config.every_ms
        return True


def _reader(name: str, config: EventConfig, observation_names: Sequence[str]) -> Callable[[Moment], float]:
    """Return what reads the rule's number off a step; an entry of info that is missing or no number is NaN."""
    if config.when == "reward":
        return lambda moment: moment.reward
    if config.when == "terminated":
        return lambda moment: 1.0 if moment.terminated else math.nan
    if config.when == "truncated":
        return lambda moment: 1.0 if moment.truncated else math.nan
    if config.info is not None:
        key = config.info
        return lambda moment: _number(moment.info.get(key))
    index = _element(name, config.observation, observation_names)
    return lambda moment: float(moment.observation[index])


def _number(value: object) -> float:
    return float(value) if isinstance(value, bool | int | float | np.number | np.bool) else math.nan


def _element(name: str, wanted: str | int | None, observation_names: Sequence[str]) -> int:
    if isinstance(wanted, int) and 0 <= wanted < len(observation_names):
        return wanted
    if isinstance(wanted, str) and wanted in observation_names:
        return observation_names.index(wanted)
    raise ConfigError(
        f"task.events.{name}: the observation has no element {wanted!r}: "
        f"write a number from 0 to {len(observation_names) - 1} or one of {', '.join(observation_names[:20])}"
    )
