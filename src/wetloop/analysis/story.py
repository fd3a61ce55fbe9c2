"""What a recording tells about any moment: its spikes, pulses, events and score, in a form quick to look up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wetloop.recording.reached import reached

if TYPE_CHECKING:
    from wetloop.core.layout import Layout
    from wetloop.recording.reader import Recording

Indices = npt.NDArray[np.int64]
NO_ROW = -1


class Group(NamedTuple):
    """Neighbouring rows of the raster that have the same role."""

    name: str
    first: int
    stop: int


class Marks(NamedTuple):
    """Marks in a raster, ordered in time: when, in which row, and of what kind (a code of ``records.KINDS``)."""

    sample_index: Indices
    row: Indices
    kind: Indices

    def between(self, start: int, stop: int) -> Marks:
        """Return those in the half-open window, samples."""
        first, last = np.searchsorted(self.sample_index, (start, stop))
        return Marks(*(column[first:last] for column in self))


class Score(NamedTuple):
    """Up to one decision: how often each event happened, hits of the running rally, reward; and its action."""

    counts: dict[str, int]
    rally: int
    reward: float
    action: dict[str, float]
    playing: bool


class Story:
    """One recording, its rows ordered in time."""

    def __init__(self, recording: Recording) -> None:
        header = recording.header
        self.sampling_frequency = recording.info.sampling_frequency
        self.title: str = header["description"]
        self.event_names: list[str] = header["event_names"]
        self.action_names: list[str] = header["action_names"]
        self.groups, self._row_of = raster_rows(recording.layout, recording.info.n_channels)
        self.n_rows = len(self._row_of)
        self.spikes = self._spikes(recording)
        self.pulses = self._pulses(recording)
        self.decisions = recording.decisions()
        self.stops: Indices = self.decisions["stop_sample"]
        bits = np.arange(len(self.event_names), dtype=np.uint32)
        self._happened = (self.decisions["events"][:, None] >> bits & 1).astype(bool)
        self._counts = np.cumsum(self._happened, axis=0, dtype=np.int32)
        self._rewards = np.cumsum(self.decisions["reward"])
        self._rallies = self._running_rally()

    def _spikes(self, recording: Recording) -> Marks:
        spikes = recording.spikes()
        spikes = spikes[np.argsort(spikes["sample_index"], kind="stable")]
        row = self._row_of[spikes["channel_index"]]
        return Marks(spikes["sample_index"].copy(), row, np.zeros(len(row), np.int64))

    def _pulses(self, recording: Recording) -> Marks:
        """Return one mark per delivered pulse and electrode."""
        pulses = recording.pulses()[reached(recording)]
        pulses = pulses[np.argsort(pulses["sample_index"], kind="stable")]
        channels = [np.array(pattern.channels, np.int64) for pattern in recording.patterns.values()]
        used = [channels[pattern] for pattern in pulses["pattern"]]
        counts = np.array([len(electrodes) for electrodes in used], np.int64)
        rows = self._row_of[np.concatenate(used)] if used else np.zeros(0, np.int64)
        return Marks(np.repeat(pulses["sample_index"], counts), rows, np.repeat(pulses["kind"], counts))

    def _running_rally(self) -> Indices:
        """Return the hits since the last miss or end of an episode, at each decision."""
        hits, ended = self._of("hit"), (self.decisions["terminated"] > 0) | (self.decisions["truncated"] > 0)
        total = np.cumsum(hits)
        begins = np.roll(self._of("miss") | ended, 1)
        begins[:1] = False
        rally: Indices = total - np.maximum.accumulate(np.where(begins, np.roll(total, 1), 0))
        return rally

    def _of(self, event: str) -> npt.NDArray[np.bool_]:
        if event not in self.event_names:
            return np.zeros(len(self.decisions), bool)
        return self._happened[:, self.event_names.index(event)]

    @property
    def extent_s(self) -> tuple[float, float]:
        """Start of the first and end of the last decision on the rig's clock, s."""
        first, last = self.decisions["start_sample"][0], self.stops[-1]
        return float(first) / self.sampling_frequency, float(last) / self.sampling_frequency

    def decision_at(self, sample: float) -> int:
        """Return the last decision that was over by then; the first, before any was."""
        return max(0, int(np.searchsorted(self.stops, sample, side="right")) - 1)

    def held(self, samples: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return at which samples the task was held."""
        within = np.searchsorted(self.stops, samples, side="right").clip(0, len(self.stops) - 1)
        inside = (samples >= self.decisions["start_sample"][0]) & (samples < self.stops[-1])
        waiting: npt.NDArray[np.bool_] = inside & (self.decisions["playing"][within] == 0)
        return waiting

    def score(self, decision: int) -> Score:
        """Return the score after a decision."""
        row: Any = self.decisions[decision]
        return Score(
            counts=dict(zip(self.event_names, self._counts[decision].tolist(), strict=True)),
            rally=int(self._rallies[decision]),
            reward=float(self._rewards[decision]),
            action=dict(zip(self.action_names, row["action"].tolist(), strict=True)),
            playing=bool(row["playing"]),
        )

    def events_between(self, start: int, stop: int) -> list[tuple[int, str]]:
        """Return what happened in the half-open window as (sample, name), the newest first."""
        first, last = np.searchsorted(self.stops, (start, stop))
        when, which = np.nonzero(self._happened[first:last])
        return [(int(self.stops[first + k]), self.event_names[e]) for k, e in zip(when[::-1], which[::-1], strict=True)]


def raster_rows(layout: Layout, n_channels: int) -> tuple[list[Group], Indices]:
    """Return the groups of the raster from the top (sensory, motor regions, others), and the row of each channel."""
    sensory = np.array(layout.sensory, np.int64)
    regions = layout.regions.copy()
    regions[sensory] = layout.n_regions
    members = [("sensory", sensory)]
    members += [(f"motor {r}", np.flatnonzero(regions == r)) for r in range(layout.n_regions)]
    members.append(("other", np.flatnonzero(regions == NO_ROW)))
    groups, row_of, first = [], np.zeros(n_channels, np.int64), 0
    for name, channels in members:
        if len(channels):
            row_of[channels] = first + np.arange(len(channels))
            groups.append(Group(name, first, first + len(channels)))
            first += len(channels)
    return groups, row_of
