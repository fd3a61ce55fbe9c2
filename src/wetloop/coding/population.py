"""The population vector: every motor region votes for its preferred action with its activity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wetloop.coding.activity import RegionScores
from wetloop.coding.decoder_config import named
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.decoder_config import PopulationVectorConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch

    Vectors = list[tuple[float, ...]]


class PopulationVector:
    """Sums the regions' standard scores times their preferred values, clipped to [-1, 1].

    After Georgopoulos, Schwartz and Kettner (Science 1986), with regions in place of single cells. As default values
    add up to 0, a burst that all regions share moves nothing.
    """

    def __init__(self, config: PopulationVectorConfig, context: BuildContext) -> None:
        self._scores = RegionScores(config, context)
        vectors = _preferred(config, context)
        self._axes = [[config.gain * vector[axis] for vector in vectors] for axis in range(len(vectors[0]))]

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if held:
            return np.zeros(len(self._axes))
        scores = self._scores.update(batch.spikes)
        return np.array([_clipped_sum(axis, scores) for axis in self._axes])


def _clipped_sum(weights: list[float], scores: list[float]) -> float:
    total = 0.0
    for weight, score in zip(weights, scores, strict=True):
        total += weight * score
    return min(1.0, max(-1.0, total))


def _preferred(config: PopulationVectorConfig, context: BuildContext) -> Vectors:
    """Return the preferred value of each region on each action."""
    n_actions, n_regions = max(1, len(context.action_names)), context.layout.n_regions
    if config.preferred is None:
        return spread(n_regions, n_actions, context)
    vectors = [value if isinstance(value, tuple) else (value,) for value in config.preferred]
    if len(vectors) != n_regions or {len(vector) for vector in vectors} != {n_actions}:
        raise ConfigError(
            f"decoder population-vector: preferred must hold one entry for each of {n_regions} motor regions, each "
            f"with one value for each of the task's {named(context)}"
        )
    return vectors


def spread(n_regions: int, n_actions: int, context: BuildContext) -> Vectors:
    """Return preferred values that are evenly spread: on a line for one action, on a circle for two.

    They are rounded: libraries differ in the last bit of a cosine.
    """
    if n_actions == 1 and n_regions > 1:
        return [(1 - 2 * region / (n_regions - 1),) for region in range(n_regions)]
    if n_actions == 2 and n_regions > 2:
        angles = [2 * math.pi * region / n_regions for region in range(n_regions)]
        return [(round(math.cos(angle), 9), round(math.sin(angle), 9)) for angle in angles]
    raise ConfigError(
        f"decoder population-vector cannot spread {n_regions} motor regions over the task's {named(context)}: take 2 "
        "regions or more for one action and 3 or more for two, give preferred, or choose combined with one part for "
        "each action"
    )
