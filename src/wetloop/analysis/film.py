"""Films and stills of a recording: the game beside the activity that played it."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.analysis.draw import HEIGHT, WIDTH
from wetloop.analysis.pictures import pictures_of
from wetloop.analysis.scene import Scene
from wetloop.analysis.story import Story
from wetloop.core.errors import ConfigError
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from PIL import Image

    from wetloop.analysis.pictures import Pictures

WINDOW_S = 5.0
SHEET_COLUMNS, SHEET_ROWS = 2, 3
MOST_IN_GIF = 1500
"""Pillow keeps all pictures of a GIF in memory until the end, about 1 MB each."""


class Cut(NamedTuple):
    """What is shown: from when to when on the rig's clock, s (None: as far as it goes), how fast, how smoothly."""

    start_s: float | None = None
    stop_s: float | None = None
    speed: float = 1.0
    fps: float = 25.0


@dataclass(frozen=True)
class Film:
    """What was made: pictures in the file, rig time that they span, s, and where the game's pictures come from."""

    file: str
    pictures: int
    start_s: float
    stop_s: float
    game: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def render(
    path: Path,
    out: Path,
    cut: Cut,
    *,
    replace: bool = False,
    trusted: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Film:
    """Make a film (``.mp4``, ``.gif``) or a still (``.png``) of a recording.

    A still shows the moment where the cut starts; one whose cut has an end or no start is a sheet of six moments.

    Raises
    ------
    ConfigError
        Where the file exists and is not to be replaced, its ending is unknown, or the cut is not in the recording.
    RecordingError
        Where the game has to be played again and turns out differently.
    """
    write = _writer(out)
    if out.exists() and not replace:
        raise ConfigError(f"{out} exists and is not replaced: choose another name, or say --force")
    with Recording(path, trusted=trusted) as recording:
        story = _story(recording)
        start_s, stop_s = _span(story, cut, path)
        moments_s = _moments(out, cut, start_s, stop_s)
        pictures = pictures_of(recording)
        scale = 2 if len(moments_s) == 1 else 1
        scene = Scene(story, pictures.origin, WINDOW_S * max(1.0, cut.speed), scale)
        made = _drawn(story, scene, pictures, moments_s, on_progress or (lambda _share: None))
        _write(out, write, made, cut.fps)
    return Film(str(out), len(moments_s), moments_s[0], moments_s[-1], pictures.origin)


def _story(recording: Recording) -> Story:
    story = Story(recording)
    if not len(story.decisions):
        raise ConfigError(f"{recording.path}: no decision was recorded, so there is nothing to show")
    return story


def _span(story: Story, cut: Cut, path: Path) -> tuple[float, float]:
    first_s, last_s = story.extent_s
    start_s = first_s if cut.start_s is None else cut.start_s
    stop_s = last_s if cut.stop_s is None else cut.stop_s
    if not (first_s <= start_s < stop_s <= last_s):
        raise ConfigError(
            f"{path}: {start_s:g} to {stop_s:g} s cannot be shown, the session lasts from {first_s:g} to {last_s:g} s "
            "on the rig's clock: change --from and --to"
        )
    return start_s, stop_s


def _moments(out: Path, cut: Cut, start_s: float, stop_s: float) -> list[float]:
    """Return the moments to be shown, s on the rig's clock."""
    if out.suffix == ".png":
        sheet = cut.start_s is None or cut.stop_s is not None
        n = SHEET_COLUMNS * SHEET_ROWS
        return [start_s + (stop_s - start_s) * (k + 1) / n for k in range(n)] if sheet else [start_s]
    n = max(1, int((stop_s - start_s) * cut.fps / cut.speed + 1e-9))
    if out.suffix == ".gif" and n > MOST_IN_GIF:
        raise ConfigError(
            f"{out}: a GIF of {n} pictures would be too large: take at most {MOST_IN_GIF} "
            "(--from, --to, --speed, --fps), or an mp4"
        )
    return [start_s + k * cut.speed / cut.fps for k in range(n)]


def _drawn(
    story: Story, scene: Scene, pictures: Pictures, moments_s: Sequence[float], on_progress: Callable[[float], None]
) -> Iterator[Image.Image]:
    for k, at_s in enumerate(moments_s):
        decision = story.decision_at(round(at_s * story.sampling_frequency))
        yield scene.draw(at_s, pictures.after(decision, int(story.stops[decision])))
        on_progress((k + 1) / len(moments_s))


def _writer(out: Path) -> Callable[[Path, Iterator[Image.Image], float], None]:
    writers = {".mp4": _write_mp4, ".gif": _write_gif, ".png": _write_png}
    if out.suffix not in writers:
        raise ConfigError(f"{out}: films end in .mp4 or .gif, stills in .png")
    if out.suffix == ".mp4" and not all(map(importlib.util.find_spec, ("imageio", "imageio_ffmpeg"))):
        raise ConfigError(
            f"{out}: mp4 needs imageio and ffmpeg: install them with pip install 'wetloop[video]', or take a .gif"
        )
    return writers[out.suffix]


def _write(
    out: Path, write: Callable[[Path, Iterator[Image.Image], float], None], made: Iterator[Image.Image], fps: float
) -> None:
    """Write under another name first, so that no half-made film bears the right one."""
    part = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        write(part, made, fps)
        part.replace(out)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _write_mp4(path: Path, made: Iterator[Image.Image], fps: float) -> None:
    import imageio.v2 as imageio

    quick = ["-preset", "veryfast", "-movflags", "+faststart"]
    writer: Any = imageio.get_writer(path, format="FFMPEG", fps=fps, codec="libx264", quality=8, output_params=quick)
    with writer:
        for picture in made:
            writer.append_data(np.asarray(picture))


def _write_gif(path: Path, made: Iterator[Image.Image], fps: float) -> None:
    flat = (picture.quantize(64, method=2) for picture in made)
    next(flat).save(path, save_all=True, append_images=flat, duration=round(1000 / fps), loop=0)


def _write_png(path: Path, made: Iterator[Image.Image], fps: float) -> None:
    _ = fps
    stills = list(made)
    if len(stills) == 1:
        stills[0].save(path)
        return
    from PIL import Image

    sheet = Image.new("RGB", (WIDTH * SHEET_COLUMNS, HEIGHT * SHEET_ROWS))
    for k, still in enumerate(stills):
        sheet.paste(still, (WIDTH * (k % SHEET_COLUMNS), HEIGHT * (k // SHEET_COLUMNS)))
    sheet.save(path)
