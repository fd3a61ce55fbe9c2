"""Pictures as small grey ones: integer arithmetic, so that every machine sees the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]

COLOURS = 3


def is_picture(space: spaces.Space[Any]) -> bool:
    """Return whether observations are uint8 of shape (height, width), (height, width, 1) or (height, width, 3)."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    return len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in {1, COLOURS})


def grey(picture: Picture) -> Picture:
    """Return the brightness of each pixel, shape (height, width), with the weights of ITU-R BT.601."""
    if picture.ndim == 2:
        return picture
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    red, green, blue = (picture[:, :, i].astype(np.uint16) for i in range(COLOURS))
    return ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)


def pooled(picture: Picture, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Return the mean brightness of rows x columns equal parts of a grey picture, 0 to 255.

    Parts differ by a pixel where the picture cannot be divided evenly.
    """
    height, width = picture.shape
    top, left = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.int64), top), left, axis=1)
    pixels = np.diff(top, append=height)[:, None] * np.diff(left, append=width)
    means: npt.NDArray[np.float64] = sums / pixels
    return means


def shrunk(picture: Picture, size: tuple[int, int] | None) -> Picture:
    """Return the picture as it is, or in grey and pooled to (height, width)."""
    if size is None:
        return picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return pooled(grey(picture), *size).astype(np.uint8)
