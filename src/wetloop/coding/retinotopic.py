"""A picture as rates: each electrode of a grid tells how bright its part of the picture is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wetloop.coding.codes import CodeFacts, Curve, refuse_excess
from wetloop.coding.trains import Trains
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.coding.encoder_config import RetinotopicConfig
    from wetloop.core.plugin import BuildContext
    from wetloop.core.types import Outcome, StimProgram, Tick

LUMA = np.array((299, 587, 114), np.int64)
"""Thousandths by which red, green and blue make grey (ITU-R BT.601)."""
WHITE = 255 * 1000


def pool(frame: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Return the mean brightness of each part of a picture, 0 to 1.

    Sums of whole numbers are exact, so every machine finds the same.

    Parameters
    ----------
    frame
        Shape (height, width) or (height, width, 3), at least as high as ``rows`` and as wide as ``columns``.
    rows, columns
        Parts from top to bottom and from left to right; where they do not divide the picture evenly, some are a
        pixel larger.
    """
    height, width = frame.shape[:2]
    top, left = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    sums = np.add.reduceat(np.add.reduceat(frame, top, axis=0, dtype=np.int64), left, axis=1)
    grey = sums @ LUMA if frame.ndim == 3 else sums * 1000
    pixels = np.outer(np.diff(top, append=height), np.diff(left, append=width))
    pooled: npt.NDArray[np.float64] = grey / (pixels * WHITE)
    return pooled


class RetinotopicEncoder:
    """Codes brightness, or nearness, by the rates of a grid of electrodes."""

    def __init__(self, config: RetinotopicConfig, context: BuildContext) -> None:
        layout = config.share(context.layout)
        n, rows = len(layout.sensory), layout.sensory_rows
        self._config, self._grid, self._shape = config, (rows, n // rows), context.frame_shape
        self._check_shape()
        what = "nearness" if config.invert else "brightness"
        curve = Curve(what, 0.0, 1.0, config.silent_below or None)
        self._facts = replace(config.facts(context, (curve,)), grid=self._grid, inverted=config.invert)
        refuse_excess([self._facts], context)
        self._trains = Trains([context.table.find(f"sensory {i}") for i in range(n)], config, context)

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        frame = outcome.frame
        if frame is None or outcome.terminated or outcome.truncated or not outcome.playing:
            return self._trains.silence(tick)
        if frame.shape != self._shape:
            raise ConfigError(f"encoder: the task promised pictures of {self._shape} and showed one of {frame.shape}")
        values = self.values(frame).ravel().tolist()
        return self._trains.program([self._rate_hz(value) for value in values], tick)

    def describe(self) -> tuple[CodeFacts, ...]:
        """Return the facts of the code."""
        return (self._facts,)

    def values(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return what each electrode tells, 0 to 1, shape (rows, columns)."""
        pooled = pool(frame, *self._grid)
        return 1.0 - pooled if self._config.invert else pooled

    def _rate_hz(self, value: float) -> float:
        return 0.0 if value < self._config.silent_below else self._config.rate_hz(value)

    def _check_shape(self) -> None:
        shape, (rows, columns) = self._shape, self._grid
        if not shape:
            raise ConfigError("encoder: the task shows no picture: retinotopic needs one; take place-rate or rate")
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
            raise ConfigError(f"encoder: a picture of shape {shape} is neither grey nor red, green and blue")
        if shape[0] < rows or shape[1] < columns:
            raise ConfigError(
                f"encoder: a picture of {shape[0]} x {shape[1]} pixels is smaller than the grid of {rows} x {columns} "
                "electrodes: use fewer electrodes or a larger picture"
            )
