"""A recording as a person looks at it: ``wetloop.open``. Every part is a view that is read where it is sliced."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop.engine.alarm_rows import plain
from wetloop.recording import schema
from wetloop.recording.fields import (
    Field,
    array_fields,
    electrodes_field,
    reading,
    seconds_field,
    series_field,
    table_fields,
)
from wetloop.recording.reader import Recording
from wetloop.recording.samples import SampleView
from wetloop.recording.schema import Column, Table
from wetloop.recording.timeline import Timeline
from wetloop.recording.view import TableView

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from wetloop.core.guard import Pattern
    from wetloop.core.types import RigInfo

EPISODES = Table(
    schema.TRIALS,
    "Episodes (rallies) of the task.",
    (
        Column(
            "start_sample", "<i8", "Start of the first decision played, samples on the rig's clock.", "start_sample"
        ),
        Column("stop_sample", "<i8", "End of the last decision played, samples on the rig's clock.", "stop_sample"),
        Column("hits", "<i8", "Hits in the episode.", "hits"),
        Column("ended_by", "<U16", f"What ended it: miss, terminated, truncated or {schema.SESSION_END}.", "ended_by"),
    ),
    256,
)
MOST_UNTIL_KNOWN_S = 1.0
"""No spike becomes known later than this after its peak: beyond peak search and lockout, and any rig's own delay."""


class _When(NamedTuple):
    """Column of samples by which rows have their time, what that is, and the column in which they are ordered."""

    moment: str
    about: str
    order: str
    most_behind_s: float = 0.0


class OpenRecording:
    """A recording that is open for reading; close it, or use it in a ``with`` statement.

    Times in s are those of the rig's clock: sample over sampling frequency.
    """

    def __init__(self, path: str | os.PathLike[str], *, trusted: bool = False) -> None:
        self.recording = Recording(Path(path), trusted=trusted)
        """The reader below, which replays use: exact records of whole tables."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called twice. Views cannot be read any more."""
        self.recording.close()

    @property
    def path(self) -> Path:
        """File of the recording."""
        return self.recording.path

    @property
    def complete(self) -> bool:
        """Whether the session was finished."""
        return self.recording.complete

    @property
    def condition(self) -> str:
        """Experimental arm of the session."""
        return str(self.recording.header["condition"])

    @property
    def info(self) -> RigInfo:
        """The rig: sampling frequency in Hz, probe, gains in uV per bit, limits."""
        return self.recording.info

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self.recording.config

    @property
    def summary(self) -> dict[str, Any]:
        """What the session said at its end; empty for one that is not complete."""
        return self.recording.summary

    @property
    def patterns(self) -> dict[str, Pattern]:
        """The prepared patterns by name, in the order of the numbers in ``pulses["pattern"]``."""
        return self.recording.patterns

    @property
    def extent_s(self) -> tuple[float, float]:
        """Start of the first and end of the last block, s."""
        start, stop = self.recording.extent()
        return start / self.info.sampling_frequency, stop / self.info.sampling_frequency

    @cached_property
    def spikes(self) -> TableView:
        """Spikes in the order in which they became known; ``between`` goes by their peaks.

        Columns, each of shape (n_spikes,): ``time_s`` float64, ``channel_index`` int32, ``amplitude_uv`` float32,
        ``sample_index`` int64 (the peak, samples), ``known_sample`` int64 (samples), ``excluded`` uint8 (a code: 0
        where it was decoded).
        """
        fields = table_fields(self.recording, schema.SPIKES)
        when = _When("sample_index", "Time of the peak, s.", "known_sample", MOST_UNTIL_KNOWN_S)
        return self._view("spikes", fields, when, self._n_rows(schema.SPIKES))

    @cached_property
    def pulses(self) -> TableView:
        """Pulses that were asked for; only those with ``fate`` 0 (delivered) reached the culture.

        What a stimulator did not take all the same is in the table ``events/stimulation_refused`` of the file.

        Columns, each of shape (n_pulses,): ``time_s`` float64 (start of the first phase), ``sample_index`` int64
        (samples), ``pattern`` int32, codes ``kind``, ``fate`` and ``priority`` uint8, ``voice`` int32, ``serial``
        int64; float32 ``first_amplitude`` and ``second_amplitude`` in the rig's unit (mV or uA), ``first_us``,
        ``interphase_us`` and ``second_us`` in us, ``charge_nc`` in nC. Tables of words also have ``electrodes``.
        """
        fields = table_fields(self.recording, schema.PULSES)
        electrodes = electrodes_field(self.recording, _named(fields, "pattern"))
        when = _When("sample_index", "Start of the first phase, s.", "")
        return self._view("pulses", [*fields, electrodes], when, self._n_rows(schema.PULSES))

    @cached_property
    def decisions(self) -> TableView:
        """Decisions, at the ends of their windows.

        Columns, each of shape (n_decisions,) unless said: ``time_s`` float64, ``index``, ``start_sample``,
        ``stop_sample`` (samples) and ``serial`` int64, ``n_spikes`` int32, ``spikes_crc`` uint32, ``playing``,
        ``terminated``, ``truncated`` and ``answer`` uint8, ``events`` uint32 (bits), ``reward`` float64,
        ``lateness_us`` and ``spike_age_us`` float32 (us), ``action`` float64 (n_decisions, n_actions), ``observation``
        float32 (n_decisions, n_observations).
        """
        made, to = self.recording, series_field
        fields = [
            *table_fields(made, schema.DECISIONS),
            to(made, "action", schema.ACTION, "<f8", "What the culture did, as the decoder read it."),
            to(made, "observation", schema.OBSERVATION, "<f4", "State of the task, as the encoder saw it."),
        ]
        when = _When("stop_sample", "End of the window, s.", "stop_sample")
        return self._view("decisions", fields, when, self._n_rows(schema.DECISIONS))

    @cached_property
    def episodes(self) -> TableView:
        """Episodes of the task (in Pong: rallies); ``between`` goes by their starts.

        Columns, each of shape (n_episodes,): ``time_s`` float64, ``start_sample`` and ``stop_sample`` int64 (samples),
        ``hits`` int64, ``ended_by`` text. Of a recording that is not complete they are found in its decisions.
        """
        fields = table_fields(self.recording, EPISODES)
        n_rows = self._n_rows(EPISODES)
        if not self.complete:
            rows = self.recording.episodes()
            fields, n_rows = array_fields(rows, fields), len(rows)
        return self._view("episodes", fields, _When("start_sample", "Start, s.", "start_sample"), n_rows)

    @cached_property
    def blocks(self) -> TableView:
        """Timing of each block that the engine took in.

        Columns, each of shape (n_blocks,): ``time_s`` float64 (first sample), ``start_sample``, ``serial`` and
        ``newest_sample`` int64, ``n_samples``, ``lost_samples``, ``n_spikes`` and ``n_pulses`` int32; on the host's
        clock ``arrival_ns``, ``start_ns`` and ``done_ns`` int64 (ns).
        """
        fields = table_fields(self.recording, schema.BLOCKS)
        when = _When("start_sample", "First sample of the block, s.", "start_sample")
        return self._view("blocks", fields, when, self._n_rows(schema.BLOCKS))

    @cached_property
    def rig_clock(self) -> TableView:
        """The rig's clock against the host's, each second of a session in real time.

        Columns, each of shape (n_rows,): ``time_s`` float64, ``sample_index`` and ``host_ns`` int64 (samples; ns of the
        host's monotonic clock), ``sample_ns``, ``drift_ppm`` and ``jitter_us`` float64, ``jumps`` int64.
        """
        fields = table_fields(self.recording, schema.RIG_CLOCK)
        when = _When("sample_index", "Sample of the estimate, s.", "sample_index")
        return self._view("rig_clock", fields, when, self._n_rows(schema.RIG_CLOCK))

    @cached_property
    def alarms(self) -> list[dict[str, Any]]:
        """What the watchdogs saw, in order: watch, state, sample_index, at, value, limit, unit, policy, meaning."""
        return plain(self.recording.alarms())

    @cached_property
    def frames(self) -> TableView:
        """Pictures of the game, where they were kept: ``frames["frame"][3]`` is one, uint8 (height, width).

        Further columns, each of shape (n_frames,): ``time_s`` float64 (end of the decision after which it was taken),
        ``sample_index`` int64 (samples), ``source_height`` and ``source_width`` int32 (pixels).
        """
        shape = tuple(self.recording.header.get("frame_shape", (0, 0)))
        where = f"{schema.GAME_FRAMES}/data"
        picture = Field(
            "frame", np.dtype(("u1", shape)), "", "The picture, grey.", reading(self.recording, where, "u1")
        )
        fields = [*table_fields(self.recording, schema.FRAMES), picture]
        when = _When("sample_index", "End of the decision after which it was taken, s.", "sample_index")
        return self._view("frames", fields, when, self._n_rows(schema.FRAMES))

    @cached_property
    def samples(self) -> SampleView:
        """Raw samples, where they were kept: int16 of shape (n_samples, n_channels); ``gain_uv`` is uV per bit."""
        return SampleView(self.recording)

    def to_neo(self) -> Any:
        """Return a ``neo.Block`` of spike trains, pulses, conditions and episodes, as Elephant takes them.

        Needs ``wetloop[analysis]``.
        """
        from wetloop.recording.neo import block_of

        return block_of(self)

    def __repr__(self) -> str:
        start_s, stop_s = self.extent_s
        state = "complete" if self.complete else "not complete"
        title = f"{self.path}: {self.condition} on {self.info.name}, {start_s:g} to {stop_s:g} s, {state}"
        views = (self.spikes, self.pulses, self.decisions, self.episodes, self.blocks, self.frames)
        return "\n".join([title, *(f"  {view.name}: {len(view)}" for view in views), f"  {self.samples!r}"])

    def _view(self, name: str, fields: Sequence[Field], when: _When, n_rows: int) -> TableView:
        rate_hz = self.info.sampling_frequency
        moment = _named(fields, when.moment)
        order = _named(fields, when.order) if when.order else None
        timeline = Timeline(n_rows, rate_hz, moment, order, round(when.most_behind_s * rate_hz))
        return TableView(name, [seconds_field(moment, rate_hz, when.about), *fields], timeline)

    def _n_rows(self, table: Table) -> int:
        return self.recording.n_rows(table) if self.recording.has(table.path) else 0


def _named(fields: Sequence[Field], name: str) -> Field:
    return next(field for field in fields if field.name == name)
