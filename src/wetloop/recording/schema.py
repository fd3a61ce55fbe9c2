"""Where everything stands in a recording: every path, column, unit and code, in one place.

A recording is NWB 2.x in HDF5. Exact integers (samples, serials, codes) are the truth; times in seconds are
derived from them for other tools. A *table* is a group of equally long columns; rows are only ever appended.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from wetloop.core.rig_clock import ESTIMATE
from wetloop.core.rig_pulses import OUTCOMES, SEEN, TRIGGERED
from wetloop.core.types import Answer, Priority, Timing, Update
from wetloop.engine.alarm_rows import ALARM
from wetloop.kernels.records import BLOCK, COMMAND, EXCLUSIONS, FATES, KINDS, PULSE, SPIKE, STATES

FORMAT_VERSION = 2
"""Grows when an older Wetloop would take a new recording for something that it is not: where a column or document was
removed, renamed or given another meaning, or added and a replay without it decides otherwise. What may be overlooked is
added without a new version. Every version stays readable; ``recordings/`` keeps one of each, which the tests replay.
1: the first. 2: spikes may be excluded from decoding, and the task may answer late.
"""
VERSION_ATTRIBUTE = "wetloop_format_version"
COMPLETE_ATTRIBUTE = "wetloop_complete"
RECOVERED_ATTRIBUTE = "wetloop_recovered"
"""JSON text of a recording that ``wetloop recover`` made: from what, and what is lost."""
LOST_SAMPLES = "raw samples"
"""What a loss among those is of; ``what`` of the others is for people."""

UNITS = "units"
TRIALS = "intervals/trials"
EPOCHS = "intervals/epochs"
ELECTRODES = "general/extracellular_ephys/electrodes"
RAW = "acquisition/ElectricalSeries"
OBSERVATION = "processing/behavior/game_state"
ACTION = "processing/behavior/decoder"
GAME_FRAMES = "acquisition/game_frames"
PATTERNS = "processing/stimulation/patterns"
SCRATCH = "scratch"
DOCUMENTS = ("config", "header", "rig", "layout", "limits", "patterns", "summary")
"""JSON texts in ``scratch``; the summary is an empty object until the session has ended."""

SESSION_END = "session end"


Compression = Literal["none", "gzip", "bitshuffle-lz4"]
"""Of raw samples."""


class Column(NamedTuple):
    """One column: ``field`` names the field of the record that it stores exactly, empty if derived; S: UTF-8 text.

    ``added`` says that older recordings do not have it; there it reads as 0.
    """

    name: str
    dtype: str
    description: str
    field: str = ""
    added: bool = False


class Table(NamedTuple):
    """A table that grows: ``chunk_rows`` is what HDF5 compresses and checks at once."""

    path: str
    description: str
    columns: tuple[Column, ...]
    chunk_rows: int

    @property
    def exact(self) -> dict[str, str]:
        """Column of each field of the record."""
        return {column.field: column.name for column in self.columns if column.field}


def decision_dtype(n_actions: int, n_observations: int) -> np.dtype[np.void]:
    """Return the record of one decision.

    ``serial`` is the newest command submitted, ``spikes_crc`` the CRC-32 of the decoded SPIKE records,
    ``events`` a bit mask over the event names; samples are on the rig's clock.
    """
    return np.dtype(
        [
            ("index", "<i8"), ("start_sample", "<i8"), ("stop_sample", "<i8"), ("serial", "<i8"),
            ("n_spikes", "<i4"), ("spikes_crc", "<u4"), ("playing", "u1"), ("terminated", "u1"),
            ("truncated", "u1"), ("answer", "u1"), ("events", "<u4"), ("reward", "<f8"), ("lateness_us", "<f4"),
            ("spike_age_us", "<f4"), ("action", "<f8", (n_actions,)), ("observation", "<f4", (n_observations,)),
        ]
    )  # fmt: skip


def frame_dtype(shape: tuple[int, int]) -> np.dtype[np.void]:
    """Return the record of one picture of the game, uint8 of this (height, width).

    ``sample_index`` is the end of the decision after which it was taken; ``source_height`` and ``source_width`` are the
    pixels of the picture that it was made from, and so tell its proportions.
    """
    fields = [("sample_index", "<i8"), ("source_height", "<i4"), ("source_width", "<i4"), ("frame", "u1", shape)]
    return np.dtype(fields)


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"{code} {name}" for code, name in enumerate(names))


def _enum(kind: type[Answer | Priority | Timing | Update]) -> str:
    return _codes(tuple(member.name.lower() for member in kind))


MEANINGS = {
    "kind": KINDS, "fate": FATES, "priority": tuple(p.name.lower() for p in Priority), "excluded": EXCLUSIONS,
}  # fmt: skip
"""Codes of pulses and spikes, which the file also spells out in a meanings table beside each column."""

SPIKES = Table(
    "events/detected_spikes",
    "Spikes detected while the session ran, unsorted, in the order in which they became known.",
    (
        Column("timestamp", "<f8", "Time of the peak, s: sample_index over the sampling frequency."),
        Column("electrode", "<i4", "Row of the electrodes table, which is the channel index.", "channel_index"),
        Column("amplitude_uv", "<f4", "Voltage at the peak, uV.", "amplitude_uv"),
        Column("sample_index", "<i8", "Peak on the rig's clock, samples.", "sample_index"),
        Column(
            "known_sample",
            "<i8",
            "When the peak search was over and a decoder could know, samples.",
            "known_sample",
        ),
        Column(
            "excluded",
            "u1",
            f"Whether it was decoded, or which window after a pulse it lay in: {_codes(EXCLUSIONS)}.",
            "excluded",
            added=True,
        ),
    ),
    8192,
)

PULSE_PARAMETERS = (
    Column("first_amplitude", "<f4", "Signed amplitude of the first phase, {unit}."),
    Column("first_us", "<f4", "Width of the first phase, us."),
    Column("interphase_us", "<f4", "Gap between the phases, us."),
    Column("second_amplitude", "<f4", "Signed amplitude of the second phase, {unit}."),
    Column("second_us", "<f4", "Width of the second phase, us."),
    Column("charge_nc", "<f4", "Charge of the larger phase per electrode, nC; an upper bound for voltage pulses."),
)
"""What a pattern delivers; ``{unit}`` is the rig's unit of amplitude, mV or uA."""

PATTERN = Column("pattern", "<i4", "Row of the table of patterns.", "pattern")
VOICE = Column("voice", "<i4", "Pulse train of the engine that made it.", "voice")
SERIAL = Column("serial", "<i8", "Serial of the command that set the voice; -1 where a reflex asked.", "serial")

PULSES = Table(
    "events/stimulation",
    "Every pulse that was asked for and its fate; only those with fate 0 (delivered) went to the rig; in real time "
    "the table triggers tells whether it took them.",
    (
        Column("timestamp", "<f8", "Start of the first phase, s: sample_index over the sampling frequency."),
        Column("electrodes", "<i4", "Rows of the electrodes table that were stimulated at once."),
        PATTERN,
        Column("kind", "u1", f"Why: {_codes(KINDS)}.", "kind"),
        Column("fate", "u1", f"What became of it: {_codes(FATES)}.", "fate"),
        Column("priority", "u1", f"The higher wins: {_enum(Priority)}.", "priority"),
        VOICE,
        SERIAL,
        Column("sample_index", "<i8", "Start of the first phase on the rig's clock, samples.", "sample_index"),
        *PULSE_PARAMETERS,
    ),
    4096,
)

DECISIONS = Table(
    "processing/behavior/decisions",
    "One row per decision; its action and observation are the same row of decoder and game_state.",
    (
        Column("index", "<i8", "Number of the decision.", "index"),
        Column("start_sample", "<i8", "Start of the window, samples on the rig's clock.", "start_sample"),
        Column("stop_sample", "<i8", "End of the half-open window, samples on the rig's clock.", "stop_sample"),
        Column("serial", "<i8", "Newest command submitted to the engine.", "serial"),
        Column("n_spikes", "<i4", "Spikes that became known in the window and were decoded.", "n_spikes"),
        Column("spikes_crc", "<u4", "CRC-32 of the decoded spike records.", "spikes_crc"),
        Column("playing", "u1", "1 while the task runs, 0 while feedback or rest holds it.", "playing"),
        Column("terminated", "u1", "1 where the task ended an episode.", "terminated"),
        Column("truncated", "u1", "1 where an episode was cut short.", "truncated"),
        Column("answer", "u1", f"Where the observation comes from: {_enum(Answer)}.", "answer", added=True),
        Column("events", "<u4", "Bit mask of what happened: {events}.", "events"),
        Column("reward", "<f8", "Reward of the task, a.u. (arbitrary units).", "reward"),
        Column("lateness_us", "<f4", "How late the decision was on the host's clock, us.", "lateness_us"),
        Column(
            "spike_age_us",
            "<f4",
            "From the newest decoded spike to the decision, us, without the rig's own latency; -1 without a spike.",
            "spike_age_us",
            added=True,
        ),
    ),
    2048,
)

BLOCKS = Table(
    "acquisition/loop_timing",
    "One row per block that the engine took in: the proof of its timing, and an input of a replay.",
    (
        Column("start_sample", "<i8", "First sample of the block on the rig's clock.", "start_sample"),
        Column("n_samples", "<i4", "Samples in the block.", "n_samples"),
        Column("lost_samples", "<i4", "Samples that the rig lost before the block.", "lost_samples"),
        Column("serial", "<i8", "Newest command in effect.", "serial"),
        Column("newest_sample", "<i8", "Newest sample that the rig had reached.", "newest_sample"),
        Column("arrival_ns", "<i8", "Arrival of the block on the host's clock, ns.", "arrival_ns"),
        Column("start_ns", "<i8", "Start of the computation on the host's clock, ns.", "start_ns"),
        Column("done_ns", "<i8", "End of the computation on the host's clock, ns.", "done_ns"),
        Column("n_spikes", "<i4", "Spikes that became known in the block.", "n_spikes"),
        Column("n_pulses", "<i4", "Pulses decided in the block.", "n_pulses"),
    ),
    8192,
)

COMMANDS = Table(
    "processing/stimulation/operator_commands",
    "What the operator asked of the engine (arm, pause, stop): with the decisions, all that it was told.",
    (
        Column("serial", "<i8", "Serial of the command.", "serial"),
        Column("action", "<i4", f"What it sets: {_codes(('voice', 'lease', 'state'))}.", "action"),
        Column("voice", "<i4", "Pulse train of the engine.", "voice"),
        Column("first", "<i4", "First row of the table of patterns; for a state, 1 where the task is held.", "first"),
        Column("count", "<i4", "Number of patterns from there.", "count"),
        Column("kind", "<i4", f"Why: {_codes(KINDS)}.", "kind"),
        Column("priority", "<i4", f"The higher wins: {_enum(Priority)}.", "priority"),
        Column("update", "<i4", f"What becomes of a running train: {_enum(Update)}.", "update"),
        Column("timing", "<i4", f"When its pulses fall: {_enum(Timing)}.", "timing"),
        Column("start_sample", "<i8", f"Start, samples; for a state, its code: {_codes(STATES)}.", "start_sample"),
        Column("stop_sample", "<i8", "End, samples.", "stop_sample"),
        Column("period_samples", "<f8", "Interval or mean interval of the train, samples.", "period_samples"),
        Column("seed", "<u8", "Seed of a random train.", "seed"),
        Column("lease_until", "<i8", "Sample up to which the engine may stimulate unless renewed.", "lease_until"),
    ),
    256,
)

FRAMES = Table(
    "acquisition/game_frame_index",
    "One row per picture of the game; the picture is the same row of game_frames. Only where pictures were asked for.",
    (
        Column("sample_index", "<i8", "End of the decision after which it was taken, samples.", "sample_index"),
        Column("source_height", "<i4", "Height of the picture it was made from, pixels.", "source_height"),
        Column("source_width", "<i4", "Width of the picture it was made from, pixels.", "source_width"),
    ),
    1024,
)

RIG_CLOCK = Table(
    "acquisition/rig_clock",
    "The rig's clock against the host's, fitted to the arrival of blocks: a row per second of a session in real time.",
    (
        Column("sample_index", "<i8", "Sample on the rig's clock.", "sample_index"),
        Column("host_ns", "<i8", "When it was taken, on the host's monotonic clock, ns.", "host_ns"),
        Column("sample_ns", "<f8", "Fitted length of a sample, ns.", "sample_ns"),
        Column("drift_ppm", "<f8", "How much faster the rig's clock runs than it should, ppm.", "drift_ppm"),
        Column("jitter_us", "<f8", "Delay of blocks over the quickest, 95th percentile, us.", "jitter_us"),
        Column("jumps", "<i8", "How often one of the clocks has jumped so far.", "jumps"),
    ),
    256,
)

ALARMS = Table(
    "events/alarms",
    "What the watchdogs saw: each alarm when it was raised and when it was over. Texts are UTF-8.",
    (
        Column("timestamp", "<f8", "Time on the rig's clock, s: sample_index over the sampling frequency."),
        Column("watch", "S32", "What was watched: silent, storm, noise, lost, disk or recorder.", "watch"),
        Column("state", "S8", "raised or over.", "state"),
        Column("sample_index", "<i8", "When, on the rig's clock, samples.", "sample_index"),
        Column("at", "S32", "When, on the host's clock: ISO 8601, UTC.", "at"),
        Column("value", "<f8", "What was measured, in the unit of the row.", "value"),
        Column("limit", "<f8", "Its limit, in the unit of the row.", "limit"),
        Column("unit", "S32", "Unit of both.", "unit"),
        Column("policy", "S16", "What followed: continue, pause, trip or stop.", "policy"),
        Column("meaning", "S512", "The same in words.", "meaning"),
    ),
    64,
)

TRIGGERS = Table(
    "events/triggers",
    "Each delivered pulse as it was handed to the rig in a session in real time; one without a row never got there.",
    (
        Column("timestamp", "<f8", "When it was to begin, s: sample_index over the sampling frequency."),
        PATTERN,
        VOICE,
        SERIAL,
        Column("sample_index", "<i8", "When it was to begin on the rig's clock, samples.", "sample_index"),
        Column("forwarded_ns", "<i8", "When it went to the rig's process, on the host's clock, ns.", "forwarded_ns"),
        Column("told_ns", "<i8", "When the rig's answer was known, on the host's clock, ns.", "told_ns"),
        Column(
            "outcome", "<i4", f"{_codes(OUTCOMES)} (too late at the rig, or it was away) and not delivered.", "outcome"
        ),
    ),
    2048,
)

SEEN_PULSES = Table(
    "events/seen_pulses",
    "Pulses as the rig itself tells of them, one row for each electrode; only of rigs that do.",
    (
        Column("timestamp", "<f8", "Start of the pulse, s: sample_index over the sampling frequency."),
        Column("electrode", "<i4", "Row of the electrodes table, which is the channel index.", "channel_index"),
        Column("sample_index", "<i8", "First sample of the pulse on the rig's clock.", "sample_index"),
    ),
    2048,
)

RECORDS = {SPIKES: SPIKE, PULSES: PULSE, BLOCKS: BLOCK, COMMANDS: COMMAND}
"""Record type of each table that every recording has; those of decisions and pictures depend on the session."""
IN_REAL_TIME = {RIG_CLOCK: ESTIMATE, TRIGGERS: TRIGGERED, SEEN_PULSES: SEEN}
"""Record type of each table of sessions in real time."""
SOMETIMES = {ALARMS: ALARM} | IN_REAL_TIME
"""Record type of each table that a recording may lack, beside pictures."""
LEFT_OUT_EMPTY = (ALARMS, SEEN_PULSES)
"""Tables that most sessions have nothing for."""
