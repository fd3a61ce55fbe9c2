"""Reads a recording with h5py alone; nothing is loaded before it is asked for, nothing is written."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError
from wetloop.core.limits import StimLimits
from wetloop.core.rig_pulses import SEEN, TRIGGERED
from wetloop.engine.alarm_rows import ALARM, Alarm
from wetloop.kernels.records import BLOCK, COMMAND, PULSE, SPIKE
from wetloop.recording import header as heads
from wetloop.recording import schema
from wetloop.recording.episodes import NEEDED, episodes
from wetloop.recording.structure import opened
from wetloop.recording.tables import read_rows
from wetloop.recording.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    import h5py
    import numpy.typing as npt

    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.types import Records, RigInfo

TABLES = (schema.SPIKES, schema.PULSES, schema.BLOCKS, schema.COMMANDS, schema.DECISIONS)
SOMETIMES = (schema.FRAMES, *schema.SOMETIMES)
"""Tables that a recording may lack."""
BESIDE = {
    schema.DECISIONS: (f"{schema.ACTION}/data", f"{schema.OBSERVATION}/data"),
    schema.FRAMES: (f"{schema.GAME_FRAMES}/data", f"{schema.GAME_FRAMES}/timestamps"),
}
"""What stands beside a table, row by row."""


class Recording:
    """A recording, complete or still growing (then as it was at the writer's last flush).

    Parameters
    ----------
    path
        The file.
    trusted
        Read it even where it leads into other files or declares absurd sizes, and let a replay import what it names.

    Raises
    ------
    RecordingError
        Saying what is wrong with the file.
    """

    def __init__(self, path: Path, *, trusted: bool = False) -> None:
        self.path, self.trusted = Path(path), trusted
        self._file = opened(self.path, trusted=trusted)
        try:
            _check(self.path, self._file)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._file.close()

    @property
    def complete(self) -> bool:
        """Whether the session was finished: False while it runs, and for ever where the writer was killed."""
        return bool(self._file.attrs[schema.COMPLETE_ATTRIBUTE])

    @cached_property
    def recovered(self) -> dict[str, Any]:
        """What ``wetloop recover`` made this recording from, and what is lost; empty for an original."""
        told: dict[str, Any] = json.loads(self._file.attrs.get(schema.RECOVERED_ATTRIBUTE, "{}"))
        return told

    @cached_property
    def header(self) -> dict[str, Any]:
        """Plain fields of ``Header``: identifier, session_start, seed, versions, condition, names, ..."""
        fields: dict[str, Any] = json.loads(self._document("header"))
        return fields

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        config: dict[str, Any] = json.loads(self._document("config"))
        return config

    @cached_property
    def info(self) -> RigInfo:
        """The rig."""
        return heads.info_from_json(self._document("rig"))

    @cached_property
    def layout(self) -> Layout:
        """Roles of the channels."""
        return heads.layout_from_json(self._document("layout"))

    @cached_property
    def limits(self) -> StimLimits:
        """The tightest limits of all layers."""
        return StimLimits.model_validate_json(self._document("limits"))

    @cached_property
    def patterns(self) -> dict[str, Pattern]:
        """The prepared patterns by name, in the order of their numbers."""
        return heads.patterns_from_json(self._document("patterns"))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the session said at its end; empty for one that is not complete."""
        summary: dict[str, Any] = json.loads(self._document("summary"))
        return summary

    @cached_property
    def decision_dtype(self) -> np.dtype[np.void]:
        """Record type of this session's decisions."""
        return schema.decision_dtype(self.header["n_actions"], self.header["n_observations"])

    def n_rows(self, table: schema.Table) -> int:
        """Return the number of rows of one of the tables in ``schema``, without reading them."""
        return int(self._file[table.path]["id"].shape[0])

    def column(self, table: schema.Table, name: str) -> npt.NDArray[Any]:
        """Return one column of a table, as it stands in the file."""
        return self.values(f"{table.path}/{name}")

    def values(self, where: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return rows of a dataset, by its path inside the file; all of them by default."""
        if not self._file:
            raise RecordingError(f"{self.path}: the recording has been closed: open it again to read more of it")
        try:
            values: npt.NDArray[Any] = self._file[where][start:stop]
        except OSError as error:
            raise RecordingError(f"{self.path}: {where} is damaged and cannot be read ({error})") from error
        return values

    def has(self, where: str) -> bool:
        """Tell whether there is such a path inside the file."""
        return where in self._file

    def extent(self) -> tuple[int, int]:
        """Return the first sample and the end of what was recorded, from the first and the last block."""
        blocks = self._file[schema.BLOCKS.path]
        if not self.n_rows(schema.BLOCKS):
            return 0, 0
        return int(blocks["start_sample"][0]), int(blocks["start_sample"][-1]) + int(blocks["n_samples"][-1])

    def episodes(self) -> Records:
        """Return the episodes (rallies), from the decisions; also of a recording that is not complete."""
        rows = self._rows(schema.DECISIONS, NEEDED)
        return episodes(rows, self.header["event_names"])

    def spikes(self) -> Records:
        """Return all spikes in the order in which they became known, dtype SPIKE."""
        return self._rows(schema.SPIKES, SPIKE)

    def pulses(self) -> Records:
        """Return all pulses asked for, dtype PULSE."""
        return self._rows(schema.PULSES, PULSE)

    def blocks(self) -> Records:
        """Return the timing of all blocks, dtype BLOCK."""
        return self._rows(schema.BLOCKS, BLOCK)

    def operator_commands(self) -> Records:
        """Return what the operator asked for, dtype COMMAND."""
        return self._rows(schema.COMMANDS, COMMAND)

    def alarms(self) -> Records:
        """Return all alarms, dtype ALARM; an older recording has them in its summary only."""
        if self.has(schema.ALARMS.path):
            return self._rows(schema.ALARMS, ALARM)
        return np.array([Alarm(**told).row() for told in self.summary.get("alarms", ())], ALARM)

    def triggers(self) -> Records:
        """Return the pulses that were handed to the rig in real time, and what it said, dtype TRIGGERED."""
        return self._rows(schema.TRIGGERS, TRIGGERED) if self.has(schema.TRIGGERS.path) else np.zeros(0, TRIGGERED)

    def seen_pulses(self) -> Records:
        """Return the pulses that the rig told of, on each electrode, dtype SEEN; of rigs that do."""
        return self._rows(schema.SEEN_PULSES, SEEN) if self.has(schema.SEEN_PULSES.path) else np.zeros(0, SEEN)

    def decisions(self) -> Records:
        """Return all decisions with their actions and observations, dtype ``decision_dtype``."""
        rows = self._rows(schema.DECISIONS, self.decision_dtype)
        rows["action"] = self.values(f"{schema.ACTION}/data")
        rows["observation"] = self.values(f"{schema.OBSERVATION}/data")
        return rows

    def pulse_parameters(self) -> Records:
        """Return what each pulse would deliver: amplitudes in the rig's unit, widths in us, charge in nC."""
        names = [column.name for column in schema.PULSE_PARAMETERS]
        rows = np.zeros(self.n_rows(schema.PULSES), [(name, "<f4") for name in names])
        for name in names:
            rows[name] = self.column(schema.PULSES, name)
        return rows

    def pulse_electrodes(self) -> list[npt.NDArray[np.int32]]:
        """Return the channels of each pulse."""
        return self._ragged(f"{schema.PULSES.path}/electrodes")

    @property
    def samples(self) -> h5py.Dataset | None:
        """The raw samples where they were recorded, int16 of shape (n_samples, n_channels), unread.

        Those in bitshuffle-lz4 need hdf5plugin (``pip install 'wetloop[lz4]'``).
        """
        hdf5.load_bitshuffle()
        return self._file[f"{schema.RAW}/data"] if schema.RAW in self._file else None

    def frames(self) -> h5py.Dataset | None:
        """Return the pictures of the game where there are any, uint8 of shape (n_frames, height, width), unread."""
        return self._file[f"{schema.GAME_FRAMES}/data"] if schema.FRAMES.path in self._file else None

    @cached_property
    def frame_samples(self) -> npt.NDArray[np.int64]:
        """End of the decision after which each picture was taken, samples, shape (n_frames,)."""
        if schema.FRAMES.path not in self._file:
            return np.zeros(0, np.int64)
        return self.column(schema.FRAMES, "sample_index")

    @property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """Time of each picture on the rig's clock, s, shape (n_frames,)."""
        return self.frame_samples / self.info.sampling_frequency

    def unit_spikes(self) -> list[npt.NDArray[np.int64]]:
        """Return the peaks of each channel as the units of a complete recording tell them, samples, sorted.

        They were derived from the spikes: a file in which the two differ was changed or damaged.
        """
        rate_hz = self.info.sampling_frequency
        return [np.rint(times_s * rate_hz).astype(np.int64) for times_s in self._ragged(f"{schema.UNITS}/spike_times")]

    def _rows(self, table: schema.Table, dtype: np.dtype[np.void]) -> Records:

        def read(where: str) -> npt.NDArray[Any]:  # an older recording lacks newer columns
            return self.values(where) if where in self._file else np.zeros(1)

        return read_rows(read, table, dtype, self.n_rows(table))

    def _ragged(self, where: str) -> list[npt.NDArray[Any]]:
        """Return each row's run of values."""
        ends = self.values(f"{where}_index").astype(np.int64)
        return np.split(self.values(where), ends)[:-1]

    def _document(self, name: str) -> str:
        try:
            return read_text(self._file, name)
        except (OSError, ValueError) as error:
            raise RecordingError(f"{self.path}: {error}") from error


def _check(path: Path, file: h5py.File) -> None:
    version = file.attrs.get(schema.VERSION_ATTRIBUTE)
    if not isinstance(version, np.integer):
        raise RecordingError(f"{path}: an HDF5 file, but not a Wetloop recording")
    if version > schema.FORMAT_VERSION:
        raise RecordingError(
            f"{path}: format version {version} is newer than {schema.FORMAT_VERSION}, the newest that this "
            "version of Wetloop knows: update Wetloop"
        )
    tables = TABLES + tuple(table for table in SOMETIMES if table.path in file)
    missing = [where for where in _expected(tables) if where not in file]
    if missing:
        raise RecordingError(f"{path}: damaged, {', '.join(missing)} missing")
    for table in tables:
        lengths = _lengths(file, table)
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise RecordingError(f"{path}: columns of {table.path} are of unequal length ({told})")


def _expected(tables: Sequence[schema.Table]) -> Iterator[str]:
    for table in tables:
        yield from (f"{table.path}/{column.name}" for column in table.columns if not column.added)
        yield f"{table.path}/id"
        yield from BESIDE.get(table, ())
    yield from (f"{schema.SCRATCH}/{name}" for name in schema.DOCUMENTS)


def _lengths(file: h5py.File, table: schema.Table) -> dict[str, int]:
    """Return the number of rows in each column; a ragged one is counted by its index."""
    group = file[table.path]
    columns = [column for column in table.columns if column.name in group]
    names = [f"{c.name}_index" if f"{c.name}_index" in group else c.name for c in columns]
    lengths = {name: group[name].shape[0] for name in ("id", *names)}
    return lengths | {where.removesuffix("/data"): file[where].shape[0] for where in BESIDE.get(table, ())}
