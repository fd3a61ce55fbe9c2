"""Configuration of the built-in decoders; importing it is cheap, the objects are imported when they are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    from wetloop.coding.action_regions import ActionRegions
    from wetloop.coding.decoders import RegionRatio
    from wetloop.coding.population import PopulationVector
    from wetloop.core.plugin import BuildContext

Number = Annotated[float, Field(allow_inf_nan=False)]
SeveralMs = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]


def named(context: BuildContext) -> str:
    """Return the task's actions in words."""
    names = context.action_names
    return f"{len(names)} {'action' if len(names) == 1 else 'actions'} ({', '.join(names)})"


class RegionRatioConfig(DecoderConfig):
    """Log ratio of the activity of two motor regions, with a running offset and gain that equalise them."""

    kind: Literal["region-ratio"] = "region-ratio"
    smoothing_ms: float = Field(100.0, gt=0)
    """Time constant of the regions' rates, ms."""
    gain_s: float = Field(30.0, gt=0)
    """Time constant of the ratio's mean and variance, s."""
    floor_hz: float = Field(20.0, gt=0)
    """Added to each region's rate, spikes per second: keeps single spikes in silence from full deflection."""

    def build(self, context: BuildContext) -> RegionRatio:
        from wetloop.coding.decoders import RegionRatio

        if context.layout.n_regions < 2:
            raise ConfigError("decoder region-ratio needs two motor regions: set layout.regions to 2")
        if len(context.action_names) > 1:
            raise ConfigError(
                f"decoder region-ratio gives one action, but the task takes {named(context)}: choose "
                "population-vector, action-regions, or combined with one part for each of them"
            )
        return RegionRatio(self, context)


class RegionScoresConfig(DecoderConfig):
    """Common to decoders that score each motor region's log rate against the region's own slow mean and spread."""

    smoothing_ms: float = Field(100.0, gt=0)
    """Time constant of the regions' rates, ms."""
    gain_s: float = Field(30.0, gt=0)
    """Time constant of the mean and spread to which a region is compared, s."""
    floor_hz: float = Field(20.0, gt=0)
    """Added to each region's rate, spikes per second: keeps single spikes in silence from full deflection."""


class PopulationVectorConfig(RegionScoresConfig):
    """Continuous actions: each motor region pulls towards its preferred value while it is more active than usual."""

    kind: Literal["population-vector"] = "population-vector"
    preferred: tuple[Number | tuple[Number, ...], ...] | None = None
    """For each region the value it pulls to, or one value per action; by default from 1 (region 0) to -1 (the last) for
    one action, and evenly round a circle for two."""
    gain: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Action per standard score."""

    def build(self, context: BuildContext) -> PopulationVector:
        from wetloop.coding.population import PopulationVector

        return PopulationVector(self, context)


class ActionRegionsConfig(RegionScoresConfig):
    """One motor region for each action, in the order of the task's actions."""

    kind: Literal["action-regions"] = "action-regions"
    choose: Literal["softmax", "threshold"] | None = None
    """Softmax: one action at a time; threshold: every action whose region is active enough. By default softmax, and
    threshold for a single action, which has no other to compete with."""
    temperature: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Of softmax: 0 gives the regions' scores, of which a Discrete task takes the largest; above it, one action is
    drawn at random, the more evenly the higher."""
    threshold_sd: float = Field(2.0, allow_inf_nan=False)
    """Of threshold: how far above its mean a region must be, standard deviations."""
    idle: Literal[-1, 0] = 0
    """Value of an action that is not chosen; a chosen one is 1."""
    refractory_ms: SeveralMs | dict[str, SeveralMs] = 0.0
    """For how long an action cannot be chosen again, ms: one value for all, or by the action's name. Where none can be
    chosen, a Discrete task is given its first action."""

    def gives_scores(self) -> bool:
        return True

    def build(self, context: BuildContext) -> ActionRegions:
        from wetloop.coding.action_regions import ActionRegions

        return ActionRegions(self, context)
