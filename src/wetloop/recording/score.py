"""How well a recorded session went: the numbers by which sessions are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.recording import schema
from wetloop.recording.reached import reached
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from wetloop.core.types import Records


@dataclass(frozen=True)
class Score:
    """What a session came to; rates are per minute in play, pauses for feedback do not count.

    An episode that still ran when the session ended counts if it had a hit, as in the session's own summary.
    ``mean_hits`` is None where the task knows no hits.
    """

    file: str
    condition: str
    task: str
    decoder: str
    decoder_fitted: bool
    seed: int
    complete: bool
    decisions_in_play: int
    minutes_in_play: float
    reward_per_min: float
    events_per_min: dict[str, float]
    episodes: int
    mean_hits: float | None
    mean_episode_s: float | None
    pulses: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def score(path: Path) -> tuple[Score, dict[str, Any]]:
    """Return the score of a recording, and the configuration with which it was played."""
    with Recording(path) as recording:
        header, config, decisions = recording.header, recording.config, recording.decisions()
        playing = int(decisions["playing"].sum())
        minutes = playing * header["decision_samples"] / recording.info.sampling_frequency / 60
        made = Score(
            file=str(path),
            condition=header["condition"],
            task=config["task"]["kind"],
            decoder=config["decoder"]["kind"],
            decoder_fitted=header.get("decoder_fitted", False),
            seed=header["seed"],
            complete=recording.complete,
            decisions_in_play=playing,
            minutes_in_play=minutes,
            reward_per_min=float(decisions["reward"].sum()) / minutes if minutes else 0.0,
            events_per_min=_events_per_min(decisions, header["event_names"], minutes),
            **_episodes(recording),
            pulses=int(reached(recording).sum()),
        )
        return made, config


def _events_per_min(decisions: Records, names: list[str], minutes: float) -> dict[str, float]:
    counts = {name: int((decisions["events"] >> i & 1).sum()) for i, name in enumerate(names)}
    return {name: count / minutes if minutes else 0.0 for name, count in counts.items()}


def _episodes(recording: Recording) -> dict[str, Any]:
    found = recording.episodes()
    found = found[(found["ended_by"] != schema.SESSION_END) | (found["hits"] > 0)]
    lengths_s = (found["stop_sample"] - found["start_sample"]) / recording.info.sampling_frequency
    known = len(found) > 0
    return {
        "episodes": len(found),
        "mean_hits": float(np.mean(found["hits"])) if known and "hit" in recording.header["event_names"] else None,
        "mean_episode_s": float(np.mean(lengths_s)) if known else None,
    }
