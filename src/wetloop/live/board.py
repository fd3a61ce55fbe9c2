"""What a viewer shows: counts, score, rates and timing, kept up to date from batches."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.alarm_rows import Standing
from wetloop.kernels.records import DELIVERED, FATES, KINDS, NOT_RUNNING

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.live.facts import Facts
    from wetloop.live.feed import Batch

WINDOW_S = 8.0
"""What a page that has just been opened is told of the past, s of rig time."""
RATE_S = 1.0
"""Span over which rates are taken, s."""
BINS_PER_DECADE, DECADES = 10, (0, 5)
EDGES_US = np.logspace(*DECADES, (DECADES[1] - DECADES[0]) * BINS_PER_DECADE + 1)
"""Edges of the bins of loop times, us; what lies outside counts in the first or the last bin."""


class Episode(NamedTuple):
    """A rally or another episode that is over: its end, s, and its hits or its reward."""

    end_s: float
    value: float


class Score:
    """What the game has come to.

    Attributes
    ----------
    counts
        How often each event happened, shape (n_events,).
    episodes
        Those that are over.
    running
        Hits or reward of the episode that runs.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._bits = np.arange(len(facts.event_names), dtype=np.uint32)
        self.counts = np.zeros(len(self._bits), np.int64)
        self.episodes: list[Episode] = []
        self.running = self.reward = 0.0
        self.decisions = self.late = 0

    def add(self, decisions: Records, first_sample: int) -> None:
        """Take account of decisions that follow the ones before."""
        if not len(decisions):
            return
        happened = self.happened(decisions)
        self.counts += happened.sum(axis=0)
        self.reward += float(decisions["reward"].sum())
        self.decisions += len(decisions)
        self.late += int((decisions["lateness_us"] > self._facts.info.late_us).sum())
        value = self._of(happened, "hit").astype(float) if self._facts.rallies else decisions["reward"]
        ended = self._of(happened, "miss") | (decisions["terminated"] > 0) | (decisions["truncated"] > 0)
        end_s = (decisions["stop_sample"] - first_sample) / self._facts.sampling_frequency
        total, before = self.running + np.cumsum(value), 0.0
        for k in np.flatnonzero(ended):
            self.episodes.append(Episode(float(end_s[k]), float(total[k] - before)))
            before = total[k]
        self.running = float(total[-1] - before)

    def happened(self, decisions: Records) -> npt.NDArray[np.bool_]:
        """Return which events each decision told, shape (n_decisions, n_events)."""
        told: npt.NDArray[np.bool_] = (decisions["events"][:, None] >> self._bits & 1).astype(bool)
        return told

    def _of(self, happened: npt.NDArray[np.bool_], event: str) -> npt.NDArray[np.bool_]:
        names = self._facts.event_names
        return happened[:, names.index(event)] if event in names else np.zeros(len(happened), bool)


class LoopTimes:
    """How long packets took from their arrival until they were done with.

    Attributes
    ----------
    counts
        Packets in each bin of ``EDGES_US``.
    late
        Packets that took longer than one lasts.
    """

    def __init__(self, period_us: float) -> None:
        self._period_us = period_us
        self.counts = np.zeros(len(EDGES_US) - 1, np.int64)
        self.longest_us, self.late = 0.0, 0

    def add(self, blocks: Records) -> None:
        """Take account of blocks; those of an accelerated session have no arrival."""
        blocks = blocks[blocks["arrival_ns"] > 0]
        if len(blocks):
            took_us = (blocks["done_ns"] - blocks["arrival_ns"]) / 1e3
            which = np.searchsorted(EDGES_US, took_us, side="right").clip(1, len(self.counts)) - 1
            self.counts += np.bincount(which, minlength=len(self.counts))
            self.longest_us = max(self.longest_us, float(took_us.max()))
            self.late += int((took_us > self._period_us).sum())

    def quantile_us(self, share: float) -> float | None:
        """Return the upper edge of the bin that this share of the packets does not exceed, us."""
        if not self.counts.any():
            return None
        k = int(np.searchsorted(np.cumsum(self.counts), share * self.counts.sum()))
        return min(float(EDGES_US[k + 1]), self.longest_us)


class Board:
    """One session, as far as it was seen.

    Attributes
    ----------
    recent
        Batches of the last seconds.
    fates
        Pulses by kind and fate, shape (n_kinds, n_fates).
    alarms
        What stands of the session's alarms.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._forget()

    def _forget(self) -> None:
        self.score, self.times = Score(self.facts), LoopTimes(self.facts.period_us)
        self.recent: deque[Batch] = deque()
        self.alarms = Standing()
        self.fates = np.zeros((len(KINDS), len(FATES)), np.int64)
        self.first_sample = self.now_sample = 0
        self.seen_from_s: float | None = None
        self.last: Any = None

    def add(self, batch: Batch) -> None:
        """Take account of a batch."""
        if batch.anew:
            self._forget()
        self.first_sample, self.now_sample = batch.first_sample, batch.now_sample
        self.score.add(batch.decisions, batch.first_sample)
        self.times.add(batch.blocks)
        self.alarms.add(batch.alarms)
        which = batch.pulses["kind"] * len(FATES) + batch.pulses["fate"]
        self.fates += np.bincount(which, minlength=self.fates.size).reshape(self.fates.shape)
        if len(batch.decisions):
            self.last = batch.decisions[-1].copy()
            if self.seen_from_s is None:
                self.seen_from_s = self.seconds(int(batch.decisions["start_sample"][0]))
        self.recent.append(self._trimmed(batch) if batch.anew else batch)
        oldest = self._ago(WINDOW_S)
        while len(self.recent) > 1 and self.recent[0].now_sample < oldest:
            self.recent.popleft()

    def _trimmed(self, batch: Batch) -> Batch:
        """Return only the last seconds of a batch that begins with the session."""
        oldest = self._ago(WINDOW_S)
        return batch._replace(
            spikes=batch.spikes[batch.spikes["sample_index"] >= oldest],
            pulses=batch.pulses[batch.pulses["sample_index"] >= oldest],
            decisions=batch.decisions[batch.decisions["stop_sample"] >= oldest],
            blocks=batch.blocks[:0],
        )

    def _ago(self, s: float) -> int:
        return self.now_sample - round(s * self.facts.sampling_frequency)

    def seconds(self, sample: int) -> float:
        """Return rig time since the beginning of the session, s."""
        return (sample - self.first_sample) / self.facts.sampling_frequency

    @property
    def elapsed_s(self) -> float:
        """How far the session is, s."""
        return self.seconds(self.now_sample)

    def spikes_hz(self) -> float:
        """Return spikes per second of the whole array."""
        return self._recently("spikes") / self._span_s()

    def pulses_hz(self) -> float:
        """Return delivered pulses per second."""
        return self._recently("pulses") / self._span_s()

    def _span_s(self) -> float:
        return min(RATE_S, max(self.elapsed_s, 0.1))

    def _recently(self, what: str) -> int:
        since, n = self._ago(RATE_S), 0
        for batch in reversed(self.recent):
            if batch.now_sample < since:
                break
            rows = getattr(batch, what)
            rows = rows[(rows["sample_index"] >= since) & (rows["sample_index"] < self.now_sample)]
            n += int((rows["fate"] == DELIVERED).sum()) if what == "pulses" else len(rows)
        return n

    def delivered(self) -> dict[str, int]:
        """Return the pulses delivered, by kind."""
        return dict(zip(KINDS, self.fates[:, DELIVERED].tolist(), strict=True))

    def refused(self) -> dict[str, int]:
        """Return the pulses that were not delivered, by why; those refused by the guard begin with "refused"."""
        counts = self.fates.sum(axis=0).tolist()
        return {name: n for name, n in zip(FATES, counts, strict=True) if n and name != FATES[DELIVERED]}

    def guard_refusals(self) -> int:
        """Return how many pulses the guard refused."""
        return int(self.fates[:, NOT_RUNNING + 1 :].sum())
