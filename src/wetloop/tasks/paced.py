"""A task on the rig's clock: decisions of one length, steps of another."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from collections.abc import Mapping


class Paced(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Makes as many of an environment's own steps in a decision as fit its length; fractions carry over exactly.

    A decision without a step repeats the last observation and tells no event; one of several steps repeats the
    action, sums the rewards, joins the events and stops at the end of an episode.

    Parameters
    ----------
    env
        The environment.
    step_ms
        What one of its steps lasts on the rig's clock, ms.
    decision_ms
        Length of a decision, ms.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], step_ms: float, decision_ms: float) -> None:
        super().__init__(env)
        steps = Fraction(decision_ms) / Fraction(step_ms)
        self._gain, self._price = steps.numerator, steps.denominator
        self._saved = 0
        self._observation: Any = None
        self._info: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; its first step comes a whole step's time later."""
        self._saved = 0
        self._observation, self._info = self.env.reset(seed=seed, options=options)
        return self._observation, self._info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make the steps that are due at the end of this decision."""
        due, self._saved = divmod(self._saved + self._gain, self._price)
        reward, over = 0.0, (False, False)
        events: tuple[str, ...] = ()
        magnitudes: dict[str, float] = {}
        for _ in range(due):
            self._observation, gained, *over_now, self._info = self.env.step(action)
            reward, over = reward + float(gained), (bool(over_now[0]), bool(over_now[1]))
            events += tuple(self._info.get("events", ()))
            _add(magnitudes, self._info.get("magnitudes", {}))
            if any(over):
                break
        info = self._info | {"events": events, "magnitudes": magnitudes}
        return self._observation, reward, *over, info


def _add(sums: dict[str, float], magnitudes: Mapping[str, float]) -> None:
    for name, size in magnitudes.items():
        sums[name] = sums.get(name, 0.0) + size
