"""One motor region for each action: which of them are chosen, and how soon again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.coding.activity import RegionScores
from wetloop.coding.decoder_config import named
from wetloop.coding.decoders import ln
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.decoder_config import ActionRegionsConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch

NEVER = -(1 << 62)


class ActionRegions:
    """Chooses actions by the standard scores of their regions; one that was just chosen rests."""

    def __init__(self, config: ActionRegionsConfig, context: BuildContext) -> None:
        n_actions, n_regions = max(1, len(context.action_names)), context.layout.n_regions
        if n_regions != n_actions:
            raise ConfigError(
                f"decoder action-regions has {n_regions} motor regions for the task's {named(context)}: set "
                f"layout.regions to {n_actions}, or choose combined, whose parts name their own regions and actions"
            )
        self._scores, self._config = RegionScores(config, context), config
        self._competing = config.choose == "softmax" or (config.choose is None and n_actions > 1)
        self._rng = context.rng(f"decoder {','.join(context.action_names)}")
        self._rest_samples = [context.info.samples(ms) for ms in _refractory_ms(config, context, n_actions)]
        self._ready_sample = [NEVER] * n_actions

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(len(self._ready_sample))
        scores, now = self._scores.update(batch.spikes), batch.stop_sample
        ready = [i for i, sample in enumerate(self._ready_sample) if sample <= now]
        chosen = self._chosen(scores, ready)
        for i in chosen:
            self._ready_sample[i] = now + self._rest_samples[i]
        if self._competing and not self._config.temperature:
            least = min(scores) - 1
            return np.array([score if i in ready else least for i, score in enumerate(scores)])
        return np.array([1.0 if i in chosen else float(self._config.idle) for i in range(len(scores))])

    def _chosen(self, scores: list[float], ready: list[int]) -> list[int]:
        if not self._competing:
            return [i for i in ready if scores[i] > self._config.threshold_sd]
        noise = self._noise(len(scores))
        return [max(ready, key=lambda i: scores[i] + noise[i])] if ready else []

    def _noise(self, n: int) -> list[float]:
        """Return Gumbel noise: the largest of scores with it is a draw from their softmax (Gumbel 1954)."""
        temperature = self._config.temperature
        if not temperature:
            return [0.0] * n
        uniform = (self._rng.integers(1, 1 << 53, n) / (1 << 53)).tolist()
        return [-temperature * ln(-ln(u)) for u in uniform]


def _refractory_ms(config: ActionRegionsConfig, context: BuildContext, n_actions: int) -> list[float]:
    given = config.refractory_ms
    if not isinstance(given, dict):
        return [given] * n_actions
    unknown = [name for name in given if name not in context.action_names]
    if unknown:
        raise ConfigError(
            f"decoder action-regions: refractory_ms names {', '.join(unknown)}, but the actions are {named(context)}"
        )
    return [given.get(name, 0.0) for name in context.action_names]
