"""A motor layout that is chosen anew after each pause of the task, as DishBrain chose its own after every miss.

A decoder knows nothing of the game but whether it is held. The pause of random feedback and rest, which follows a miss,
is therefore what tells it: where a pause follows something else (a barrage after a hit, in the yoked condition), the
layout is chosen anew too, and without pauses never. Which one is read follows from the session's seed and its pauses,
so that a replay chooses the same.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from wetloop.coding.decoder_config import ActionRegionsConfig, PopulationVectorConfig, RegionRatioConfig
from wetloop.core.errors import ConfigError
from wetloop.core.layout import LayoutConfig
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Records, SpikeBatch

Inner = RegionRatioConfig | PopulationVectorConfig | ActionRegionsConfig


class RechosenConfig(DecoderConfig):
    """A decoder that reads another of several motor layouts after each pause of the task."""

    kind: Literal["rechosen"] = "rechosen"
    decoder: Annotated[Inner, Field(discriminator="kind")] = RegionRatioConfig()
    """The decoder, which has running means and gains of its own in every layout."""
    layouts: tuple[LayoutConfig, ...] = Field((LayoutConfig(), LayoutConfig(flip=True)), min_length=2)
    """Layouts among which is chosen, each with the keys of ``layout``. Their sensory electrodes must be the session's;
    its own motor regions are not read. Each is read once before any is read again, in an order drawn at random."""

    def gives_scores(self) -> bool:
        return self.decoder.gives_scores()

    def build(self, context: BuildContext) -> Rechosen:
        return Rechosen(self, context)


class Rechosen:
    """Lets a decoder for each layout see all that is played, and gives the action of the one that is chosen.

    All see everything, so that the running means of a layout are up to date when it is chosen.
    """

    def __init__(self, config: RechosenConfig, context: BuildContext) -> None:
        layouts = [_layout(k, layout, context) for k, layout in enumerate(config.layouts)]
        self._decoders = [config.decoder.build(dataclasses.replace(context, layout=layout)) for layout in layouts]
        self._order = choices(context.rng("rechosen"), len(layouts))
        self._chosen, self._held = next(self._order), False

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        if self._held and not held:
            self._chosen = next(self._order)
        self._held = held
        return [decoder.decode(batch, held=held) for decoder in self._decoders][self._chosen]


def choices(rng: np.random.Generator, n_layouts: int) -> Iterator[int]:
    """Yield the layouts that are read one after the other, without end: blocks of all of them in random order."""
    while True:
        yield from rng.permutation(n_layouts).tolist()


def layouts_read(seed: int, n_layouts: int, decisions: Records) -> npt.NDArray[np.int64]:
    """Return the number of the layout that was read in each recorded decision, shape (n_decisions,)."""
    from wetloop.core.plugin import seeded

    held = decisions["playing"] == 0
    episode = np.cumsum(np.concatenate([[False], held[:-1] & ~held[1:]]))[: len(held)]
    order = choices(seeded(seed, "rechosen"), n_layouts)
    chosen = np.array([next(order) for _ in range(int(episode.max(initial=-1)) + 1)], np.int64)
    return chosen.take(episode)


def _layout(number: int, config: LayoutConfig, context: BuildContext) -> Layout:
    layout = config.apply(context.info.probe)
    if layout.sensory != context.layout.sensory:
        raise ConfigError(
            f"decoder rechosen: layouts.{number} has other sensory electrodes than the session's layout: give it the "
            "same sensory_electrodes and sensory_rows, for only motor regions are chosen anew"
        )
    return layout
