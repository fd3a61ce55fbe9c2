"""What a recorded session is measured by, in each window of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.experiments.event_metrics import (
    Events,
    percent,
    percent_of_cycles,
    stimuli_to_criterion,
)
from wetloop.recording import schema
from wetloop.recording.reader import Recording
from wetloop.recording.tally import LONG_RALLY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.experiments.protocol import Metric

    Hits = npt.NDArray[np.int64]

PADDLE = "paddle_y"
"""The observation that tells where the paddle is."""


class Span(NamedTuple):
    """What happened in one window: decisions in play, episodes that ended there, and minutes in play.

    ``paddle`` is where the paddle was at each of the decisions, fractions of the field; None where there is none.
    ``events`` are those of the decisions, ``lived`` those of the whole of each episode that ended.
    """

    decisions: Records
    episodes: Records
    minutes: float
    rate_hz: float
    knows_hits: bool
    paddle: npt.NDArray[np.float64] | None
    events: Events
    lived: tuple[Events, ...]


class Measured(NamedTuple):
    """The value of each metric in each window (None where it cannot be told), and the episodes that ended in each."""

    metrics: dict[Metric, dict[str, float | None]]
    episodes: dict[str, int]


def measured(
    path: Path,
    metrics: Sequence[Metric],
    windows_s: Mapping[str, tuple[float, float]],
    rallies: int | None = None,
) -> Measured:
    """Return what a recording comes to; windows are in s from its first decision, and end with the last rally counted.

    An episode belongs to the window in which it ended, as its length is known only then. One that still ran when the
    session ended counts if it had a hit, as in the session's summary.
    """
    with Recording(path) as recording:
        spans = {name: _span(recording, *window, rallies) for name, window in windows_s.items()}
    found = {metric: {name: FORMULAS[metric](span) for name, span in spans.items()} for metric in metrics}
    return Measured(found, {name: len(span.episodes) for name, span in spans.items()})


def _span(recording: Recording, start_s: float, stop_s: float, rallies: int | None) -> Span:
    decisions, rate_hz = recording.decisions(), recording.info.sampling_frequency
    origin = decisions["start_sample"][0] if len(decisions) else 0
    start, stop = origin + start_s * rate_hz, origin + stop_s * rate_hz
    ended = recording.episodes()
    ended = ended[(ended["ended_by"] != schema.SESSION_END) | (ended["hits"] > 0)][:rallies]
    stop = min(stop, ended["stop_sample"][-1]) if len(ended) == rallies else stop
    ended = ended[(ended["stop_sample"] > start) & (ended["stop_sample"] <= stop)]
    inside = decisions[(decisions["start_sample"] >= start) & (decisions["start_sample"] < stop)]
    played = inside[inside["playing"] > 0]
    names = list(recording.header["observation_names"])
    paddle = played["observation"][:, names.index(PADDLE)].astype(float) if PADDLE in names else None
    minutes = len(played) * recording.header["decision_samples"] / rate_hz / 60
    told = Events(decisions["stop_sample"], decisions["events"], tuple(recording.header["event_names"]))
    lived = tuple(told.between(*map(int, each)) for each in ended[["start_sample", "stop_sample"]].tolist())
    now = told.between(int(start), int(stop))
    return Span(played, ended, minutes, rate_hz, "hit" in told.names, paddle, now, lived)


def _of_hits(formula: Callable[[Hits], npt.ArrayLike]) -> Callable[[Span], float | None]:
    """Return the mean over episodes of something made of their hits."""

    def mean(span: Span) -> float | None:
        return (
            float(np.mean(np.asarray(formula(span.episodes["hits"]), float)))
            if span.knows_hits and len(span.episodes)
            else None
        )

    return mean


def _per_min(count: float, span: Span) -> float | None:
    return count / span.minutes if span.minutes else None


def _paddle(span: Span) -> float | None:
    """Return the mean way of the paddle, fields per second in play; jumps over pauses do not count."""
    if span.paddle is None or len(span.paddle) < 2:
        return None
    steps = np.abs(np.diff(span.paddle))
    apart = np.diff(span.decisions["start_sample"])
    usual = apart == apart.min()
    return float(steps[usual].sum() / (apart[usual].sum() / span.rate_hz))


def _episode_s(span: Span) -> float | None:
    lasted = (span.episodes["stop_sample"] - span.episodes["start_sample"]) / span.rate_hz
    return float(lasted.mean()) if len(lasted) else None


FORMULAS: dict[str, Callable[[Span], float | None]] = {
    "rally_length": _of_hits(lambda hits: hits),
    "log_rally": _of_hits(np.log1p),
    "aces_percent": _of_hits(lambda hits: 100.0 * (hits == 0)),
    "long_rallies_percent": _of_hits(lambda hits: 100.0 * (hits > LONG_RALLY)),
    "rallies_per_min": lambda span: _per_min(len(span.episodes), span),
    "paddle_per_s": _paddle,
    "reward_per_min": lambda span: _per_min(float(span.decisions["reward"].sum()), span),
    "episode_s": _episode_s,
    "stimuli_to_criterion": lambda span: stimuli_to_criterion(span.lived),
    "criterion_percent": lambda span: percent_of_cycles("criterion", span.lived),
    "responses_percent": lambda span: percent("response", "stimulus", span.events),
    "proficient_percent": lambda span: 100.0 * span.events.happened("proficient").any() if span.minutes else None,
    "on_target_percent": lambda span: percent("on_target", "moved", span.events),
}
"""How each metric is computed. Rally length is hits per rally; log_rally the mean of log(1 + hits); an ace has no hit,
a long rally more than three (Kagan et al., Neuron 2022). ``event_metrics`` says what those mean that count events; a
window is proficient, to 100 percent, where the task told ``proficient`` in it, so that the mean is a share of
sessions."""
