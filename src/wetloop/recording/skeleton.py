"""Makes a new recording: valid NWB with empty tables. Only this, ``columns`` and ``subject`` use pynwb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.event import TimestampVectorData
from pynwb.image import ImageSeries
from pynwb.misc import Units

from wetloop.core.layout import positions_um
from wetloop.recording import schema
from wetloop.recording.columns import FEW_ROWS, Columns, leaf
from wetloop.recording.header import documents, parameters
from wetloop.recording.schema import Column
from wetloop.recording.subject import lab_of, subject_of
from wetloop.recording.texts import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import h5py

    from wetloop.core.layout import Layout
    from wetloop.recording.header import Header
    from wetloop.recording.schema import Table

INTERVAL = (
    Column("start_time", "f8", "Start, s."),
    Column("stop_time", "f8", "End, s."),
    Column("start_sample", "i8", "Start, samples on the rig's clock."),
    Column("stop_sample", "i8", "End, samples on the rig's clock."),
)
SPIKE_TIMES = Column("spike_times", "f8", "Time of each peak, s.")
OBS_INTERVALS = Column("obs_intervals", "f8", "Start and end of each span without lost samples, s.")
ELECTRODES = Column("electrodes", "i4", "Rows of the electrodes table.")

FRAME_CHUNK_BYTES = 1 << 17


def write_skeleton(
    file: h5py.File, header: Header, filters: Mapping[str, Any], raw_filters: Mapping[str, Any] | None
) -> None:
    """Write a recording without rows into an empty HDF5 file, which stays open.

    ``filters`` are h5py's keywords for every column that grows, ``raw_filters`` those for raw samples, if any.
    """
    nwb = _Skeleton(header, Columns(filters)).build(None if raw_filters is None else Columns(raw_filters))
    NWBHDF5IO(file=file, mode="w").write(nwb)
    for events in file["events"].values():
        events["timestamp"].attrs["resolution"] = 1 / header.info.sampling_frequency
    for axis in "xy":
        file[schema.ELECTRODES][f"rel_{axis}"].attrs["description"] = f"Position of the contact along {axis}, um."
    for name, text in documents(header).items():
        write_text(file, name, text)
    file.attrs[schema.VERSION_ATTRIBUTE] = schema.FORMAT_VERSION
    file.attrs[schema.COMPLETE_ATTRIBUTE] = 0


class _Skeleton:
    """The NWB objects of one session."""

    def __init__(self, header: Header, make: Columns) -> None:
        self._header = header
        self._make = make
        self._nwb = _new_file(header)

    def build(self, make_raw: Columns | None) -> NWBFile:
        """Add everything, in the order in which it refers to each other."""
        self._add_electrodes()
        self._add_stimulation()
        self._add_behavior()
        seen = (schema.SEEN_PULSES,) * self._header.follows_clock
        for table in (schema.SPIKES, schema.ALARMS, *seen):
            self._nwb.add_events_table(self._events(table, self._nwb.electrodes))
        self._nwb.add_acquisition(self._table(schema.BLOCKS))
        if self._header.follows_clock:
            self._nwb.add_acquisition(self._table(schema.RIG_CLOCK))
        self._add_derived()
        if self._header.keeps_frames:
            self._add_frames()
        for name, text in documents(self._header).items():
            self._nwb.add_scratch(text, name=name, description=f"Wetloop: {name}, as JSON")
        if make_raw is not None:
            self._nwb.add_acquisition(self._raw(make_raw))
        return self._nwb

    def _add_electrodes(self) -> None:
        info, layout = self._header.info, self._header.layout
        device = self._nwb.create_device(name=info.name, description=f"Rig at {info.sampling_frequency:g} Hz.")
        group = self._nwb.create_electrode_group(
            "array", description="Microelectrode array.", location="culture in vitro", device=device
        )
        self._nwb.add_electrode_column("channel_index", "Column of the recording, and the row of this table.")
        self._nwb.add_electrode_column("role", "Part in the closed loop: sensory, motor_<region> or none.")
        for channel, (x_um, y_um) in enumerate(positions_um(info.probe)):
            place = {"rel_x": x_um, "rel_y": y_um, "location": "culture in vitro", "group": group}
            self._nwb.add_electrode(**place, channel_index=channel, role=role(layout, channel))

    def _add_stimulation(self) -> None:
        module = self._nwb.create_processing_module("stimulation", "What could be delivered, and who asked for it.")
        patterns = self._patterns()
        module.add(patterns)
        module.add(self._table(schema.COMMANDS))
        for table in (schema.PULSES, *(schema.TRIGGERS,) * self._header.follows_clock):
            self._nwb.add_events_table(self._events(table, patterns))

    def _patterns(self) -> DynamicTable:
        table = self._header.table
        channels = np.array([c for _, pattern in table for c in pattern.channels], np.int32)
        ends = np.cumsum([len(pattern.channels) for _, pattern in table], dtype=np.uint32)
        electrodes = DynamicTableRegion(
            name="electrodes", description=ELECTRODES.description, data=channels, table=self._nwb.electrodes
        )
        numbers = zip(schema.PULSE_PARAMETERS, parameters(table).T, strict=True)
        names = np.array(table.names, object) if len(table) else np.zeros(0, "S1")
        columns = [
            VectorData(name="pattern_name", description="Name of the pattern.", data=names),
            electrodes,
            VectorIndex(name="electrodes_index", target=electrodes, data=ends),
            *(VectorData(name=c.name, description=self._words(c), data=values) for c, values in numbers),
        ]
        named = [c.name for c in columns if not isinstance(c, VectorIndex)]
        return DynamicTable(
            name=leaf(schema.PATTERNS),
            description="Prepared and checked before the run, by row.",
            id=np.arange(len(table)),
            columns=columns,
            colnames=named,
        )

    def _add_behavior(self) -> None:
        head = self._header
        module = self._nwb.create_processing_module("behavior", "What the task showed, and what the culture did.")
        module.add(self._series(schema.OBSERVATION, "f4", head.n_observations, head.observation_names))
        module.add(self._series(schema.ACTION, "f8", head.n_actions, head.action_names))
        module.add(self._table(schema.DECISIONS))

    def _series(self, path: str, dtype: str, width: int, names: tuple[str, ...]) -> TimeSeries:
        return TimeSeries(
            name=leaf(path),
            description=f"One row per decision, at the end of its window. Columns: {', '.join(names)}.",
            data=self._make.grows(dtype, schema.DECISIONS.chunk_rows, (width,)),
            unit="a.u.",
            starting_time=0.0,
            rate=self._header.info.sampling_frequency / self._header.decision_samples,
        )

    def _add_derived(self) -> None:
        spans = [self._make.vector(column, FEW_ROWS) for column in INTERVAL]
        hits = self._make.vector(Column("hits", "i8", "Hits in the episode."), FEW_ROWS)
        cause = self._make.text("ended_by", f"What ended it: miss, terminated, truncated or {schema.SESSION_END}.")
        about = "Episodes (rallies) of the task; written when the session ends."
        self._nwb.trials = self._make.intervals(schema.TRIALS, about, [*spans, hits, cause])
        spans = [self._make.vector(column, FEW_ROWS) for column in INTERVAL]
        arm = self._make.text("condition", "Experimental arm.")
        about = "Experimental conditions; written when the session ends."
        self._nwb.epochs = self._make.intervals(schema.EPOCHS, about, [*spans, arm])
        self._nwb.units = self._units()

    def _units(self) -> Units:
        times = self._make.vector(SPIKE_TIMES, schema.SPIKES.chunk_rows)
        observed = self._make.vector(OBS_INTERVALS, FEW_ROWS, (2,))
        electrodes = self._make.region(ELECTRODES, FEW_ROWS, self._nwb.electrodes)
        columns = [times, observed, electrodes]
        return Units(
            name=schema.UNITS,
            description="Unsorted multi-unit activity, one per electrode; written when the session ends.",
            electrode_table=self._nwb.electrodes,
            resolution=1 / self._header.info.sampling_frequency,
            id=self._make.grows("i8", FEW_ROWS),
            columns=[part for column in columns for part in self._make.ragged(column, FEW_ROWS)],
            colnames=[column.name for column in columns],
        )

    def _raw(self, make: Columns) -> ElectricalSeries:
        info = self._header.info
        return ElectricalSeries(
            name=leaf(schema.RAW),
            description="Samples as the rig delivered them, channel_conversion in uV per bit; loop_timing tells gaps.",
            data=make.grows("i2", max(1, round(info.sampling_frequency / 10)), (info.n_channels,)),
            electrodes=self._nwb.create_electrode_table_region(list(range(info.n_channels)), "All channels."),
            conversion=1e-6,
            channel_conversion=info.gain_uv,
            starting_time=0.0,
            rate=float(info.sampling_frequency),
        )

    def _add_frames(self) -> None:
        height, width = self._header.frame_shape
        frames = ImageSeries(
            name=leaf(schema.GAME_FRAMES),
            description="Pictures of the game, grey, as (picture, row, column); game_frame_index has their samples.",
            data=self._make.grows("u1", max(1, FRAME_CHUNK_BYTES // (height * width)), (height, width)),
            unit="n.a.",
            format="raw",
            dimension=[width, height],
            timestamps=self._make.grows("f8", schema.FRAMES.chunk_rows),
        )
        self._nwb.add_acquisition(frames)
        self._nwb.add_acquisition(self._table(schema.FRAMES))

    def _table(self, table: Table) -> DynamicTable:
        return self._make.table(table, [self._column(table, column) for column in table.columns])

    def _events(self, table: Table, pointed: DynamicTable) -> Any:
        """Return a table of events; ``pointed`` is what its ``electrode`` or ``pattern`` is a row of."""
        return self._make.events(table, self._event_columns(table, pointed), schema.MEANINGS)

    def _event_columns(self, table: Table, pointed: DynamicTable) -> Iterator[VectorData]:
        rows = table.chunk_rows
        for column in table.columns:
            if column.name == "timestamp":
                data = self._make.grows(column.dtype, rows)
                yield TimestampVectorData(name=column.name, description=column.description, data=data)
            elif column.name == "electrodes":
                yield from self._make.ragged(self._make.region(column, rows, self._nwb.electrodes), rows)
            elif column.name in {"electrode", "pattern"}:
                yield self._make.region(column, rows, pointed)
            else:
                yield self._column(table, column)

    def _column(self, table: Table, column: Column) -> VectorData:
        if np.dtype(column.dtype).kind == "S":
            return self._make.text(column.name, column.description)
        return self._make.vector(column._replace(description=self._words(column)), table.chunk_rows)

    def _words(self, column: Column) -> str:
        """Return the description with this session's unit and events in it."""
        events = ", ".join(f"bit {bit} {name}" for bit, name in enumerate(self._header.event_names))
        return column.description.format(unit=self._header.info.unit, events=events or "none")


def _new_file(header: Header) -> NWBFile:
    return NWBFile(
        session_description=header.description,
        identifier=header.identifier,
        session_start_time=header.session_start,
        session_id=header.identifier,
        experiment_description=f"Closed loop with a culture of neurons; condition {header.condition}.",
        notes="Configuration, rig, layout, limits, patterns and summary: JSON in scratch.",
        was_generated_by=[[name, version] for name, version in header.versions.items()],
        subject=subject_of(header.subject),
        **lab_of(header.subject),
    )


def role(layout: Layout, channel: int) -> str:
    """Return what a channel is for: ``sensory``, ``motor_<region>`` or ``none``."""
    if channel in layout.sensory:
        return "sensory"
    region = int(layout.regions[channel])
    return f"motor_{region}" if region >= 0 else "none"
