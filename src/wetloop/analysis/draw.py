"""Colours, letters and marks of films: a canvas of 1280 by 720 units, drawn with NumPy and Pillow at any scale."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Pixels: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

WIDTH, HEIGHT = 1280, 720
"""Size of a picture in units; one unit is ``scale`` pixels."""

BACKGROUND: Colour = (18, 22, 29)
PANEL: Colour = (27, 33, 43)
HELD: Colour = (47, 54, 68)
EDGE: Colour = (84, 94, 110)
INK: Colour = (236, 239, 244)
DIM: Colour = (164, 173, 187)
SPIKE: Colour = (205, 211, 220)
KIND_COLOURS: dict[str, Colour] = {
    "sensory": (86, 180, 233),
    "predictable": (0, 186, 137),
    "random": (240, 110, 35),
    "reflex": (240, 228, 66),
}
"""Pulses by kind, in hues of Okabe and Ito (2008) that the colour-blind tell apart; two are lighter, for the dark."""


class Box(NamedTuple):
    """A rectangle, in units or in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Extent in x."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Extent in y."""
        return self.bottom - self.top


class Canvas:
    """A picture under way; places are in units, ``pixels`` uint8 (height, width, 3)."""

    def __init__(self, scale: int, pixels: Pixels | None = None) -> None:
        self.scale = scale
        self.pixels = np.empty((HEIGHT * scale, WIDTH * scale, 3), np.uint8) if pixels is None else pixels
        if pixels is None:
            self.pixels[:] = BACKGROUND

    def copy(self) -> Canvas:
        """Return a canvas to go on with, which leaves this one as it is."""
        return Canvas(self.scale, self.pixels.copy())

    def area(self, box: Box) -> Pixels:
        """Return the pixels of a box, to be written to."""
        left, top, right, bottom = (self.scale * edge for edge in box)
        return self.pixels[top:bottom, left:right]

    def fill(self, box: Box, colour: Colour) -> None:
        """Fill a box."""
        self.area(box)[:] = colour

    def frame(self, box: Box, colour: Colour = EDGE) -> None:
        """Draw a line of one pixel around a box."""
        left, top, right, bottom = (self.scale * edge for edge in box)
        self.pixels[top - 1, left - 1 : right + 1] = self.pixels[bottom, left - 1 : right + 1] = colour
        self.pixels[top - 1 : bottom + 1, left - 1] = self.pixels[top - 1 : bottom + 1, right] = colour

    def place(self, box: Box, picture: Pixels, proportion: float) -> None:
        """Put a picture into the middle of a box, as large as its ``proportion`` (width over height) lets it be."""
        room = self.area(box)
        height, width = room.shape[:2]
        size = min(width, round(height * proportion)), min(height, round(width / proportion))
        enlarged = size[0] > picture.shape[1]
        method = Image.Resampling.BICUBIC if enlarged else Image.Resampling.LANCZOS
        resized = np.asarray(Image.fromarray(picture).convert("RGB").resize(size, method))
        top, left = (height - size[1]) // 2, (width - size[0]) // 2
        room[top : top + size[1], left : left + size[0]] = resized

    def write(self) -> Pen:
        """Return a pen; what is drawn with numpy afterwards is not on its picture."""
        return Pen(self)


class Pen:
    """Writes text; places and sizes are in units."""

    def __init__(self, canvas: Canvas) -> None:
        self._scale = canvas.scale
        self.image = Image.fromarray(canvas.pixels)
        self._draw = ImageDraw.Draw(self.image)

    def text(  # noqa: PLR0913  (what, where and how)
        self, x: float, y: float, text: str, *, size: int = 15, colour: Colour = INK, anchor: str = "ls",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write a line; the anchor is Pillow's: l, m, r for the side and s for the baseline, m for the middle."""
        where = (x * self._scale, y * self._scale)
        self._draw.text(where, text, font=font(size * self._scale, bold=bold), fill=colour, anchor=anchor)

    def width(self, text: str, size: int = 15) -> float:
        """Return the length of a line, units."""
        return float(font(size * self._scale).getlength(text)) / self._scale


@lru_cache
def font(size_px: int, *, bold: bool = False) -> FreeTypeFont:
    """Return DejaVu Sans, which comes with Matplotlib."""
    import matplotlib as mpl

    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size_px)


def ticks(area: Pixels, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], mark: tuple[int, int],
          colour: Colour) -> None:  # fmt: skip
    """Draw marks of (height, width) pixels whose upper left corners are at these rows and columns; cut at the edges."""
    height, width = mark
    y = (rows[:, None, None] + np.arange(height)[:, None]).clip(0, area.shape[0] - 1)
    x = (columns[:, None, None] + np.arange(width)).clip(0, area.shape[1] - 1)
    area[y, x] = colour


def bars(area: Pixels, heights: npt.NDArray[np.int64], colour: Colour) -> None:
    """Fill each column from the bottom up to its height, pixels, shape (width,)."""
    rows = np.arange(area.shape[0], 0, -1)
    area[rows[:, None] <= heights] = colour
