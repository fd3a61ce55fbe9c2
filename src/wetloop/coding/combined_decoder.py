"""The combined decoder: several decoders side by side, each with its own motor regions and its own actions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.coding.decoder_config import ActionRegionsConfig, PopulationVectorConfig, RegionRatioConfig, named
from wetloop.coding.linear_config import LinearConfig
from wetloop.core.errors import ConfigError
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import SpikeBatch


class _Share(BaseModel):
    """What a part has of the whole."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    actions: tuple[str, ...] = Field(min_length=1)
    """Actions of the task that this part gives, by name."""
    regions: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Motor regions that it reads, in its own order; by default all of them."""


class RegionRatioPart(_Share, RegionRatioConfig):
    """A region-ratio decoder with its own regions and actions."""


class PopulationVectorPart(_Share, PopulationVectorConfig):
    """A population-vector decoder with its own regions and actions."""


class ActionRegionsPart(_Share, ActionRegionsConfig):
    """An action-regions decoder with its own regions and actions."""


class LinearPart(_Share, LinearConfig):
    """A linear decoder with its own regions and actions."""


Part = RegionRatioPart | PopulationVectorPart | ActionRegionsPart | LinearPart


class CombinedConfig(DecoderConfig):
    """Several decoders at once: one turns, another attacks, each reading its own motor regions."""

    kind: Literal["combined"] = "combined"
    parts: tuple[Annotated[Part, Field(discriminator="kind")], ...]
    """The decoders, each with the keys of its kind, and with actions and regions."""
    unused: tuple[str, ...] = ()
    """Actions of the task that stay 0."""

    @model_validator(mode="after")
    def _each_action_once(self) -> Self:
        twice = [name for name, n in Counter(self.names).items() if n > 1]
        if twice:
            raise ValueError(f"action {twice[0]} is named more than once: leave it to one part")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every action that is spoken for."""
        return tuple(name for part in self.parts for name in part.actions) + self.unused

    def gives_scores(self) -> bool:
        return len(self.names) > 1

    def fitted(self) -> bool:
        return any(part.fitted() for part in self.parts)

    def build(self, context: BuildContext) -> Combined:
        return Combined(self, context)


class Combined:
    """Asks every part and puts their actions in the task's order."""

    def __init__(self, config: CombinedConfig, context: BuildContext) -> None:
        names = context.action_names
        if sorted(config.names) != sorted(names):
            given = ", ".join(config.names) or "no action"
            raise ConfigError(
                f"decoder combined names {given}, but the task takes {named(context)}: name each of them once, in the "
                "actions of a part or in unused"
            )
        self._n_actions = len(names)
        self._parts = [
            ([names.index(name) for name in part.actions], part.build(_context_of(part, context)))
            for part in config.parts
        ]

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        action = np.zeros(self._n_actions)
        for places, decoder in self._parts:
            action[places] = decoder.decode(batch, held=held)
        return action


def _context_of(part: Part, context: BuildContext) -> BuildContext:
    """Return what a part may know: its own actions, and its own regions numbered from 0."""
    layout = context.layout if part.regions is None else _narrowed(context.layout, part.regions)
    return dataclasses.replace(context, action_names=part.actions, layout=layout)


def _narrowed(layout: Layout, regions: tuple[int, ...]) -> Layout:
    missing = [region for region in regions if region >= layout.n_regions]
    if missing or len(set(regions)) < len(regions):
        raise ConfigError(
            f"decoder combined: a part reads regions {', '.join(map(str, regions))}, but each may stand there once and "
            f"the layout has regions 0 to {layout.n_regions - 1}: change the part, or layout.regions"
        )
    numbers = np.full(layout.n_regions + 1, -1)
    numbers[list(regions)] = np.arange(len(regions))
    return dataclasses.replace(layout, regions=numbers[layout.regions], n_regions=len(regions))
