"""Pictures of the game beside the decisions: small and grey, at most so many per second of the rig's clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wetloop.kernels.rings import DROPPED, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wetloop.core.types import Outcome, SpikeBatch, Tick
    from wetloop.kernels.rings import Ring
    from wetloop.recording.log import Log

Picture: TypeAlias = npt.NDArray[np.uint8]


class Camera:
    """Takes a picture when the next one is due, and puts it into a ring.

    Parameters
    ----------
    picture
        Returns what the game shows now, uint8 (height, width) or (height, width, 3); None where there is nothing.
    ring
        Of ``schema.frame_dtype``; where the recorder is too slow, pictures are dropped and counted in it.
    sampling_frequency, rate_hz
        Of the rig's clock, and the most pictures per second of it, Hz.
    """

    def __init__(
        self, picture: Callable[[], Picture | None], ring: Ring, sampling_frequency: float, rate_hz: float
    ) -> None:
        self._picture, self._ring = picture, ring
        self._size: tuple[int, int] = ring.slots.dtype["frame"].shape
        self._period_samples = math.ceil(sampling_frequency / rate_hz)
        self._period = -1

    def take(self, tick: Tick) -> None:
        """Take a picture if none was taken in this period of the rig's clock."""
        period = tick.stop_sample // self._period_samples
        if period == self._period:
            return
        picture = self._picture()
        if picture is not None:
            self._period = period
            height, width = picture.shape[:2]
            put(self._ring, (tick.stop_sample, height, width, pooled(grey(picture), self._size)))

    @property
    def dropped(self) -> int:
        """Pictures that the ring had no room for."""
        return int(self._ring.words[DROPPED])


class FramesLog:
    """A log with a camera."""

    def __init__(self, log: Log, camera: Camera) -> None:
        self._log, self._camera = log, camera

    @property
    def path(self) -> Path:
        """File of the recording."""
        return self._log.path

    @property
    def shortfall(self) -> str:
        """What the recording will lack, and why."""
        return self._log.shortfall

    @property
    def dropped(self) -> dict[str, int]:
        """What there was no room for, pictures included."""
        return self._log.dropped | {"frames": self._camera.dropped}

    def decision(
        self, tick: Tick, batch: SpikeBatch, action: npt.NDArray[np.float64], outcome: Outcome, serial: int
    ) -> None:
        """Take a picture if one is due, and pass the decision on."""
        self._camera.take(tick)
        self._log.decision(tick, batch, action, outcome, serial)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Have the rest written and the file completed."""
        self._log.finish(summary)


def grey(picture: Picture) -> Picture:
    """Return the brightness of a picture, uint8 (height, width): the luma of ITU-R BT.601 in 1/256 steps."""
    if picture.ndim == 2:
        return picture
    luma = np.uint16(77) * picture[..., 0] + np.uint16(150) * picture[..., 1] + np.uint16(29) * picture[..., 2]
    brightness: Picture = (luma >> 8).astype(np.uint8)
    return brightness


def pooled(picture: Picture, size: tuple[int, int]) -> Picture:
    """Return a grey picture of this (height, width): each pixel is the mean over its exact share of the area."""
    rows = _shares(picture, size[0])
    small: Picture = np.rint(_shares(np.ascontiguousarray(rows.T), size[1]).T).astype(np.uint8)
    return small


def _shares(values: npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    """Return the means of ``values`` over ``n`` equal shares of the first axis: differences of the running integral."""
    length = len(values)
    edges = np.arange(n + 1) * (length / n)
    whole = np.minimum(edges.astype(np.int64), length - 1)
    # Sums of bytes are exact in single precision, and twice as fast.
    before = np.zeros(values.shape, np.float32 if values.dtype == np.uint8 else np.float64)
    np.cumsum(values[:-1], axis=0, out=before[1:])
    integral = before[whole] + (edges - whole)[:, None] * values[whole]
    means: npt.NDArray[np.float64] = np.diff(integral, axis=0) * (n / length)
    return means
