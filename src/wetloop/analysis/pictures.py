"""Where the pictures of the game come from: the recording, or the task played again from the recorded actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from wetloop.recording import schema
from wetloop.replay import play_again

if TYPE_CHECKING:
    from wetloop.analysis.draw import Pixels
    from wetloop.recording.reader import Recording


class Shot(NamedTuple):
    """A picture, uint8 (height, width) or (height, width, 3), and how wide it is to be shown over how high."""

    picture: Pixels
    proportion: float


class Pictures(Protocol):
    """Pictures of the game, asked for in order of time; ``origin`` says in words where they come from."""

    origin: str

    def after(self, decision: int, stop_sample: int) -> Shot | None:
        """Return what the game showed after a decision, which ended at ``stop_sample``; None if nothing."""


class RecordedPictures:
    """The pictures in the recording."""

    def __init__(self, recording: Recording) -> None:
        self.origin = "recorded pictures"
        self._frames, self._samples = recording.frames(), recording.frame_samples
        sides = [recording.column(schema.FRAMES, f"source_{side}") for side in ("width", "height")]
        self._proportions = sides[0] / sides[1]

    def after(self, decision: int, stop_sample: int) -> Shot | None:
        """Return the newest picture."""
        _ = decision
        k = int(np.searchsorted(self._samples, stop_sample, side="right")) - 1
        return Shot(self._frames[k], float(self._proportions[k])) if k >= 0 and self._frames is not None else None


class ReplayedPictures:
    """The task, played again up to the decision that is asked for."""

    def __init__(self, recording: Recording) -> None:
        self.origin = "played again from the recorded actions"
        self._game = enumerate(play_again(recording))
        self._at = -1
        self._shot: Shot | None = None

    def after(self, decision: int, stop_sample: int) -> Shot | None:
        """Play on, and return what the task shows."""
        _ = stop_sample
        if self._at < decision:
            self._at, task = next(step for step in self._game if step[0] >= decision)
            picture = task.picture(drawn=True)
            self._shot = None if picture is None else Shot(picture, picture.shape[1] / picture.shape[0])
        return self._shot


def pictures_of(recording: Recording) -> Pictures:
    """Return the recorded pictures where there are any, else those of the task played again."""
    return RecordedPictures(recording) if len(recording.frame_samples) else ReplayedPictures(recording)
