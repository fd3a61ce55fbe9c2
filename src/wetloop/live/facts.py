"""What is known of a session before its first block, as far as a viewer shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.story import raster_rows
from wetloop.core.layout import positions_um
from wetloop.kernels.records import KINDS
from wetloop.recording import header as heads
from wetloop.recording.notice import FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.types import RigInfo
    from wetloop.recording.reader import Recording


@dataclass(frozen=True)
class Facts:
    """One session, running or recorded.

    ``header`` and ``config`` are the plain fields of the recording's; ``file`` is its path; ``replayed`` tells a
    recording that is played from a session that runs.
    """

    header: Mapping[str, Any]
    config: Mapping[str, Any]
    info: RigInfo
    layout: Layout
    patterns: Mapping[str, Pattern]
    file: str
    duration_s: float
    replayed: bool

    @classmethod
    def of_notice(cls, texts: Mapping[str, str]) -> Self:
        """Return what a running session has posted."""
        config = json.loads(texts["config"])
        return cls(
            header=json.loads(texts["header"]),
            config=config,
            info=heads.info_from_json(texts["rig"]),
            layout=heads.layout_from_json(texts["layout"]),
            patterns=heads.patterns_from_json(texts["patterns"]),
            file=texts[FILE],
            duration_s=float(config["duration"]),
            replayed=False,
        )

    @classmethod
    def of_recording(cls, recording: Recording) -> Self:
        """Return what a recording says."""
        first, stop = recording.extent()
        return cls(
            header=recording.header,
            config=recording.config,
            info=recording.info,
            layout=recording.layout,
            patterns=recording.patterns,
            file=str(recording.path),
            duration_s=(stop - first) / recording.info.sampling_frequency,
            replayed=True,
        )

    @property
    def sampling_frequency(self) -> float:
        """Samples per second of the rig's clock, Hz."""
        return self.info.sampling_frequency

    @property
    def event_names(self) -> list[str]:
        """Bits of ``events`` from the lowest."""
        return list(self.header["event_names"])

    @property
    def rallies(self) -> bool:
        """Whether an episode is counted in hits; else in reward."""
        return {"hit", "miss"} <= set(self.event_names)

    @property
    def period_us(self) -> float:
        """Time from one packet to the next, us: by then a packet must be done with."""
        return self.info.packet_samples / self.sampling_frequency * 1e6

    @property
    def pictured(self) -> bool:
        """Whether pictures of the game are taken."""
        return bool(min(self.header["frame_shape"]))

    def _hint(self) -> str:
        """Return why the game is not seen as it is played, if it is not."""
        seen = self.pictured or self.config["task"]["kind"] == "pong"
        return "" if seen else "no pictures of this game: recording.frames=grey takes them"

    def page(self) -> dict[str, Any]:
        """Return what the page is told before anything else."""
        groups, row_of = raster_rows(self.layout, self.info.n_channels)
        where = positions_um(self.info.probe)
        return {
            "title": self.header["description"],
            "file": self.file.rpartition("/")[2],
            "task": self.config["task"]["kind"],
            "paddle": self.config["task"].get("paddle"),
            "hint": self._hint(),
            "duration_s": self.duration_s,
            "replayed": self.replayed,
            "observation_names": self.header["observation_names"],
            "action_names": self.header["action_names"],
            "event_names": self.event_names,
            "rallies": self.rallies,
            "kinds": KINDS,
            "x_um": np.round(where[:, 0], 2).tolist(),
            "y_um": np.round(where[:, 1], 2).tolist(),
            "rows": row_of.tolist(),
            "groups": groups,
            "sensory": self.layout.sensory,
            "regions": self.layout.regions.tolist(),
            "period_us": self.period_us,
        }
