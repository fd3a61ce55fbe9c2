"""Publishes what a session does on the Lab Streaming Layer, for other recorders; an observer, as every viewer.

Each stream has one float64 column per channel named in its description. Time stamps are those of the samples, brought
onto LSL's clock through the rig's clock as the arrival of packets tells it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.core.extras import from_extra
from wetloop.core.rig_clock import RigClock
from wetloop.engine.live import now_host_ns
from wetloop.kernels.records import FATES, KINDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    import numpy.typing as npt

    from wetloop.core.rig_clock import Estimate
    from wetloop.core.types import Records
    from wetloop.live.facts import Facts
    from wetloop.live.feed import Batch, Feed

PERIOD_S = 0.02
BUFFER_S = 10
READINGS = 5


class Columns(NamedTuple):
    """A stream: which record's sample stamps it, and the fields that it tells."""

    stamped: str
    fields: tuple[str, ...]


STREAMS = {
    "spikes": Columns("sample_index", ("sample_index", "channel_index", "amplitude_uv")),
    "pulses": Columns("sample_index", ("sample_index", "pattern", "kind", "fate", "serial")),
    "decisions": Columns("stop_sample", ("stop_sample", "reward", "events", "serial", "action")),
}
MEANINGS = {"kind": KINDS, "fate": FATES}


def publish(feed: Feed, prefix: str, until: threading.Event) -> None:
    """Follow a feed until the event is set, with new streams for every session."""
    outlets: SessionOutlets | None = None
    while not until.wait(PERIOD_S):
        batch = feed.take()
        if feed.facts is None:
            continue
        if outlets is None or outlets.facts is not feed.facts:
            outlets = SessionOutlets(feed.facts, prefix)
        if batch is not None:
            outlets.push(batch)


class SessionOutlets:
    """The streams of one session.

    Parameters
    ----------
    facts
        The session.
    prefix
        Streams are called ``prefix-spikes``, ``prefix-pulses`` and ``prefix-decisions``.
    """

    def __init__(self, facts: Facts, prefix: str) -> None:
        self.facts = facts
        self._pylsl = from_extra("pylsl", "lsl")
        self._clock = RigClock(facts.sampling_frequency, facts.info.latency_ms)
        self._estimate: Estimate | None = None
        self._offset_s = self._measured_offset_s()
        self._outlets = {name: self._outlet(f"{prefix}-{name}", columns) for name, columns in STREAMS.items()}

    def push(self, batch: Batch) -> None:
        """Publish what is new; what happened before the streams began is not."""
        for block in batch.blocks:
            end, arrival_ns = int(block["start_sample"]) + int(block["n_samples"]), int(block["arrival_ns"])
            self._estimate = self._clock.observe(end, arrival_ns) or self._estimate
        if self._estimate is None or batch.anew:
            return
        tables: Mapping[str, Records] = {
            "spikes": batch.spikes, "pulses": batch.pulses, "decisions": batch.decisions,
        }  # fmt: skip
        for name, records in tables.items():
            columns = STREAMS[name]
            for row, sample in zip(_rows(records, columns.fields), records[columns.stamped].tolist(), strict=True):
                self._outlets[name].push_sample(row, self._lsl_s(self._estimate, sample))

    def _measured_offset_s(self) -> float:
        """Return LSL's clock over the host's, s, of the quickest of some readings: the first one loads a kernel."""
        readings = []
        for _ in range(READINGS):
            before_ns, lsl_s, after_ns = now_host_ns(), float(self._pylsl.local_clock()), now_host_ns()
            readings.append((after_ns - before_ns, lsl_s - (before_ns + after_ns) / 2e9))
        return min(readings)[1]

    def _lsl_s(self, estimate: Estimate, sample: int) -> float:
        return estimate.host_at(sample) / 1e9 + self._offset_s

    def _outlet(self, name: str, columns: Columns) -> Any:
        lsl, labels = self._pylsl, self._labels(columns.fields)
        info = lsl.StreamInfo(name, "Wetloop", len(labels), lsl.IRREGULAR_RATE, lsl.cf_double64, name)
        described = info.desc()
        described.append_child_value("session", str(self.facts.header["description"]))
        described.append_child_value("file", self.facts.file)
        described.append_child_value("event_names", " ".join(self.facts.event_names))
        channels = described.append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("meanings", " ".join(MEANINGS.get(label, ())))
        return lsl.StreamOutlet(info, max_buffered=BUFFER_S)

    def _labels(self, fields: tuple[str, ...]) -> list[str]:
        """Return a name for each channel; an action has one for each of its values."""
        actions = [f"action {name}" for name in self.facts.header["action_names"]]
        return [label for field in fields for label in (actions if field == "action" else [field])]


def _rows(records: Records, fields: tuple[str, ...]) -> list[list[float]]:
    columns: list[npt.NDArray[np.float64]] = [records[field].astype(np.float64) for field in fields]
    rows: list[list[float]] = np.column_stack(columns).tolist()
    return rows
