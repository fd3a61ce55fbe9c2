"""One picture of a film: the game beside the last seconds of spikes and pulses, with the score and the time."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from wetloop.analysis.draw import (
    BACKGROUND,
    DIM,
    HELD,
    INK,
    KIND_COLOURS,
    PANEL,
    SPIKE,
    Box,
    Canvas,
    bars,
    ticks,
)
from wetloop.kernels.records import KINDS

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from wetloop.analysis.draw import Pen
    from wetloop.analysis.pictures import Shot
    from wetloop.analysis.story import Score, Story

GAME = Box(32, 72, 472, 402)
RASTER = Box(604, 100, 1248, 500)
RATE = Box(604, 520, 1248, 592)
LEGEND_Y, AXIS_Y = 690, 610
EVENT_LINES_Y = (92, 74)
BIN_S = 0.05
"""Width of the bars of the array's rate, s."""
FLASH_S = 1.0
"""How long the newest event stands under the picture, s of rig time."""
MOST_EVENTS, MOST_ACTIONS = 8, 4


class Scene:
    """Draws any moment of a recording.

    Parameters
    ----------
    story
        The recording.
    origin
        Where the pictures of the game come from, in words.
    window_s
        How far back the raster shows, s.
    scale
        Pixels per unit of the canvas: 1 for films, 2 for stills.
    """

    def __init__(self, story: Story, origin: str, window_s: float, scale: int = 1) -> None:
        self._story, self._scale, self._rate_hz = story, scale, story.sampling_frequency
        self._window_s = window_s
        self._bins, self._top_hz = self._rates()
        self._background = self._drawn_background(origin)

    def draw(self, at_s: float, shot: Shot | None) -> Image.Image:
        """Return the picture of one moment, s on the rig's clock."""
        canvas, sample = self._background.copy(), round(at_s * self._rate_hz)
        score = self._story.score(self._story.decision_at(sample))
        self._draw_held(canvas, sample)
        self._draw_events(canvas, sample)
        self._draw_marks(canvas, sample)
        self._draw_rate(canvas, at_s)
        if shot is not None:
            canvas.place(GAME, *shot)
        for box in (GAME, RASTER, RATE):
            canvas.frame(box)
        pen = canvas.write()
        pen.text(1248, 44, f"{at_s:.2f} s", size=24, anchor="rs", bold=True)
        self._write_event_names(pen, sample)
        self._write_score(pen, score)
        self._write_flash(pen, sample)
        return pen.image

    def _rates(self) -> tuple[npt.NDArray[np.float64], float]:
        """Return spikes per s of the whole array in each bin from sample 0 on, and the upper end of the axis."""
        bins = (self._story.spikes.sample_index / (BIN_S * self._rate_hz)).astype(np.int64)
        last = int(self._story.extent_s[1] / BIN_S) + 2
        rates = np.bincount(bins[bins >= 0], minlength=last) / BIN_S
        start = int(self._story.extent_s[0] / BIN_S)
        return rates, rounded_up(float(np.quantile(rates[start:], 0.995)))

    def _drawn_background(self, origin: str) -> Canvas:
        canvas = Canvas(self._scale)
        for box in (GAME, RASTER, RATE):
            canvas.fill(box, PANEL)
        self._draw_keys(canvas)
        pen = canvas.write()
        pen.text(32, 44, self._story.title[:1].upper() + self._story.title[1:], size=22, bold=True)
        pen.text(GAME.left, GAME.bottom + 20, origin, size=13, colour=DIM)
        self._write_axes(pen)
        self._write_legend(pen)
        return Canvas(self._scale, np.array(pen.image))

    def _write_axes(self, pen: Pen) -> None:
        low = float("-inf")
        for group in self._story.groups:
            y = RASTER.top + (group.first + group.stop) / 2 * RASTER.height / self._story.n_rows
            if y - low > 32:
                low = y
                pen.text(594, y - 1, group.name, size=15, anchor="rs")
                pen.text(594, y + 14, f"{group.stop - group.first} electrodes", size=12, colour=DIM, anchor="rs")
        pen.text(594, RATE.top + 10, f"{self._top_hz:g}", size=12, colour=DIM, anchor="rs")
        pen.text(594, RATE.bottom, "0", size=12, colour=DIM, anchor="rs")
        pen.text(594, RATE.top + 38, "spikes/s", size=15, anchor="rs")
        pen.text(594, RATE.top + 53, "whole array", size=12, colour=DIM, anchor="rs")
        for k in range(6):
            text = f"{(k / 5 - 1) * self._window_s:g}".replace("-", "\N{MINUS SIGN}").replace("\N{MINUS SIGN}0", "0")
            pen.text(RATE.left + k * RATE.width / 5, AXIS_Y, text, size=12, colour=DIM, anchor="ms")
        pen.text((RATE.left + RATE.right) / 2, AXIS_Y + 18, "time before now, s", size=13, colour=DIM, anchor="ms")

    def _legend(self) -> list[tuple[int, str, tuple[int, int, int]]]:
        """Return place, name and colour of each entry, from left to right, units."""
        entries = [("spike", SPIKE), *KIND_COLOURS.items(), ("task held", HELD)]
        names = [f"{name} pulse" if name in KIND_COLOURS else name for name, _ in entries]
        pen = Canvas(self._scale).write()
        widths = [round(pen.width(name, 14)) + 40 for name in names]
        starts = RASTER.right + 20 - np.cumsum(widths[::-1])[::-1]
        return [(int(x), name, colour) for x, name, (_, colour) in zip(starts, names, entries, strict=True)]

    def _draw_keys(self, canvas: Canvas) -> None:
        for x, name, colour in self._legend():
            width = 12 if name == "task held" else 4
            key = Box(x + 6 - width // 2, LEGEND_Y - 12, x + 6 + width // 2, LEGEND_Y + 1)
            canvas.fill(key, colour)
            if colour == HELD:
                canvas.frame(key)

    def _write_legend(self, pen: Pen) -> None:
        for x, name, _ in self._legend():
            pen.text(x + 18, LEGEND_Y, name, size=14)

    def _columns(self, samples: npt.NDArray[np.int64], sample: int) -> npt.NDArray[np.int64]:
        """Return where samples lie in the raster, pixels from its left edge; now is the right edge."""
        width = RASTER.width * self._scale
        behind = (sample - samples) / (self._window_s * self._rate_hz)
        return (width * (1 - behind)).astype(np.int64)

    def _draw_held(self, canvas: Canvas, sample: int) -> None:
        width = RASTER.width * self._scale
        when = sample + (np.arange(width) / width - 1) * self._window_s * self._rate_hz
        held = self._story.held(when)
        for box in (RASTER, RATE):
            canvas.area(box)[:, held] = HELD

    def _draw_marks(self, canvas: Canvas, sample: int) -> None:
        area, rows = canvas.area(RASTER), self._story.n_rows
        start, room = self._first(sample), area.shape[0] / rows
        spikes, pulses = (marks.between(start, sample) for marks in (self._story.spikes, self._story.pulses))
        high = max(self._scale, int(room) - self._scale)
        top = (spikes.row * room).astype(np.int64)
        ticks(area, top, self._columns(spikes.sample_index, sample), (high, self._scale), SPIKE)
        high, wide = max(2 * self._scale, int(room)), 2 * self._scale
        for code, name in enumerate(KINDS):
            mine = pulses.kind == code
            top = (pulses.row[mine] * room).astype(np.int64)
            columns = self._columns(pulses.sample_index[mine], sample)
            ticks(area, top, columns, (high, wide), KIND_COLOURS[name])
        for group in self._story.groups[1:]:
            area[int(group.first * room) - 1] = BACKGROUND

    def _draw_rate(self, canvas: Canvas, at_s: float) -> None:
        area = canvas.area(RATE)
        when = at_s + (np.arange(area.shape[1]) / area.shape[1] - 1) * self._window_s
        which = np.floor(when / BIN_S).astype(np.int64)
        over = (which >= 0) & ((which + 1) * BIN_S <= at_s)
        rates = np.where(over, self._bins[which.clip(0, len(self._bins) - 1)], 0.0)
        bars(area, np.rint(rates / self._top_hz * area.shape[0]).astype(np.int64), SPIKE)

    def _first(self, sample: int) -> int:
        return sample - round(self._window_s * self._rate_hz)

    def _draw_events(self, canvas: Canvas, sample: int) -> None:
        for when, _ in self._story.events_between(self._first(sample) + 1, sample + 1):
            column = int(self._columns(np.array([when]), sample)[0])
            canvas.area(RASTER)[:: 3 * self._scale, column : column + self._scale] = DIM

    def _write_event_names(self, pen: Pen, sample: int) -> None:
        """Write each event over its line, the newest first, in the lowest row with room; without any it is left out."""
        free = dict.fromkeys(EVENT_LINES_Y, float(RASTER.right))
        for when, name in self._story.events_between(self._first(sample) + 1, sample + 1):
            half = pen.width(name, 12) / 2
            x = RASTER.left + int(self._columns(np.array([when]), sample)[0]) / self._scale
            x = min(x, RASTER.right - half)
            y = next((y for y in EVENT_LINES_Y if x + half <= free[y] and x - half >= RASTER.left), None)
            if y is not None:
                pen.text(x, y, name, size=12, colour=DIM, anchor="ms")
                free[y] = x - half - 8

    def _write_score(self, pen: Pen, score: Score) -> None:
        left, top = GAME.left, GAME.bottom + 74
        if "hit" in score.counts:
            pen.text(left, top, "hits in this rally", size=14, colour=DIM)
            pen.text(left, top + 40, f"{score.rally}", size=36, bold=True)
        pen.text(left + 160, top, "reward so far", size=14, colour=DIM)
        pen.text(left + 160, top + 40, signed(score.reward), size=36, bold=True)
        pen.text(left + 300, top, "task", size=14, colour=DIM)
        pen.text(left + 300, top + 34, "playing" if score.playing else "held", size=22, bold=True)
        for k, (name, count) in enumerate(list(score.counts.items())[:MOST_EVENTS]):
            x, y = left + 110 * (k % 4), top + 92 + 28 * (k // 4)
            pen.text(x, y, f"{count}", size=17, bold=True)
            pen.text(x + pen.width(f"{count}", 17) + 12, y, name, size=14, colour=DIM)
        told = [f"{name} {signed(value, 2)}" for name, value in list(score.action.items())[:MOST_ACTIONS]]
        pen.text(left, LEGEND_Y, f"action   {'   '.join(told)}", size=14, colour=DIM)

    def _write_flash(self, pen: Pen, sample: int) -> None:
        events = self._story.events_between(sample + 1 - round(FLASH_S * self._rate_hz), sample + 1)
        names = [name for _, name in takewhile(lambda event: event[0] == events[0][0], events)]
        pen.text(GAME.right, GAME.bottom + 22, " + ".join(reversed(names)), size=18, colour=INK, anchor="rs", bold=True)


def signed(value: float, digits: int = 0) -> str:
    """Return a number with its sign, and a true minus."""
    text = f"{value:+.{digits}f}" if digits or value == round(value) else f"{value:+.1f}"
    return text.replace("-", "\N{MINUS SIGN}") if value else text.removeprefix("+")


def rounded_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ...; at least 10."""
    step = 10.0
    while value > step:
        step *= 2.5 if str(step)[0] == "2" else 2
    return step
