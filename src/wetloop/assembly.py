"""Puts a session together from its configuration; the only place that knows which object goes where."""

from __future__ import annotations

import platform
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetloop import __version__
from wetloop.conditions import applied
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.plugin import BuildContext
from wetloop.core.protocols import Stimulator
from wetloop.registry import find_reflex

if TYPE_CHECKING:
    from collections.abc import Callable

    from wetloop.config import SessionConfig
    from wetloop.config.models import RecordingConfig
    from wetloop.core.guard import PatternTable
    from wetloop.core.layout import Layout
    from wetloop.core.limits import StimLimits
    from wetloop.core.protocols import Decoder, Encoder, FeedbackRule, Source
    from wetloop.core.types import Records, RigInfo
    from wetloop.engine.build import EngineParts
    from wetloop.engine.engine import Engine, EnginePort
    from wetloop.engine.feed import ReplayedEngine
    from wetloop.engine.live import Shared
    from wetloop.engine.reflex import ReflexCode
    from wetloop.engine.rig import Plan, Rig
    from wetloop.recording.header import Header
    from wetloop.recording.log import Log
    from wetloop.tasks.runner import TaskRunner

PACKAGES = ("numpy", "scipy", "numba", "h5py", "pynwb", "gymnasium")


@dataclass(frozen=True)
class Setting:
    """What is known of a session before anything is opened: enough for a dry run.

    ``config`` is as the user gave it, ``played`` with the parts that its condition exchanges.
    """

    config: SessionConfig
    played: SessionConfig
    info: RigInfo
    layout: Layout
    limits: StimLimits
    table: PatternTable
    reflex: ReflexCode | None = None

    @property
    def plan(self) -> Plan:
        """Decision, plan and lease in samples."""
        from wetloop.engine.rig import Plan

        return Plan(*(self.info.samples(ms) for ms in (
            self.config.decision_ms, self.config.plan_ahead_ms, self.config.guard.lease_ms,
        )))  # fmt: skip


@dataclass(frozen=True)
class Players:
    """The plug-ins of one session."""

    task: TaskRunner
    encoder: Encoder
    decoder: Decoder
    feedback: FeedbackRule


def describe(config: SessionConfig) -> tuple[Setting, Source]:
    """Return the setting of a session and its source, unopened.

    Raises
    ------
    ConfigError, GuardError
        Where the rig cannot do what the configuration asks for.
    """
    source = applied(config).source.build(config.seed)
    return setting_on(source.info, config), source


def setting_on(info: RigInfo, config: SessionConfig) -> Setting:
    """Return the setting of a session on a rig that is known by its description alone."""
    played = applied(config)
    layout = config.layout.apply(info.probe)
    guard = StimGuard(info, config.rig.limits, config.guard.limits)
    patterns = {
        **played.encoder.patterns(layout, info.unit),
        **played.feedback.patterns(layout, info.unit),
        **played.reflex.prepared(info.unit),
    }
    table = guard.prepare(patterns)
    setting = Setting(config, played, info, layout, guard.limits, table, reflex_code(played.reflex.function))
    if setting.plan.ahead < info.lead_samples:
        raise ConfigError(
            f"plan_ms {config.plan_ahead_ms:g} ms is shorter than the lead of {info.name} "
            f"({info.lead_samples / info.sampling_frequency * 1000:g} ms): every pulse would come too late; "
            "set plan_ms to at least the lead, or use smaller packets"
        )
    return setting


def players(setting: Setting) -> Players:
    """Build task, encoder, decoder and feedback rule."""
    from wetloop.tasks.runner import TaskRunner

    config = setting.played
    task = TaskRunner(config.task.build(config.decision_ms), config.seed)
    context = BuildContext(
        setting.info, setting.layout, setting.table, setting.plan.decision, config.seed,
        task.action_names, task.observation_names, task.frame_shape,
    )  # fmt: skip
    return Players(
        task=task,
        encoder=config.encoder.build(context),
        decoder=config.decoder.build(context),
        feedback=config.feedback.build(context),
    )


def reflex_code(function: str | None) -> ReflexCode | None:
    """Return the reflex that a configuration names, without running a file; None where it names none."""
    if function is None:
        return None
    from wetloop.engine.reflex import code_in_file, code_of

    path, colon, name = function.rpartition(":")
    return code_in_file(Path(path), name) if colon else code_of(function, find_reflex(function))


def engine_of(setting: Setting) -> Engine:
    """Build the engine, disarmed, with its reflex."""
    from wetloop.engine.build import new_engine, new_rings
    from wetloop.engine.engine import Engine

    parts = _engine_parts(setting)
    return parts.connected(Engine(new_engine(parts), new_rings()))


def replayed_engine_of(setting: Setting, operator_commands: Records) -> ReplayedEngine:
    """Build the engine of a replay."""
    from wetloop.engine.build import new_engine, new_rings
    from wetloop.engine.feed import ReplayedEngine

    parts = _engine_parts(setting)
    return parts.connected(ReplayedEngine(new_engine(parts), new_rings(), operator_commands))


def _engine_parts(setting: Setting) -> EngineParts:
    from wetloop.engine.build import EngineParts, ReflexParts, Safety
    from wetloop.engine.reflex import Wiring

    config, info, reflex = setting.played.reflex, setting.info, None
    if setting.reflex is not None:
        patterns = setting.table.find(*config.prepared(info.unit))
        reflex = ReflexParts(setting.reflex, Wiring(info.n_channels, info.frame_samples, patterns, config.parameters))
    safety = Safety(setting.limits, setting.config.guard.trip_refused_per_s or 0)
    return EngineParts(info, setting.table, safety, setting.config.detection, reflex)


@dataclass(frozen=True)
class Stage:
    """Where a session plays: the rig, the engine behind it, and who takes notes.

    ``facts`` tells what real time needed and got; ``close`` ends what was started; ``shared`` holds the arrays of a
    real-time session, for observers.
    """

    rig: Rig
    engine: EnginePort
    log: Log
    facts: Callable[[], dict[str, Any]]
    close: Callable[[], None]
    shared: Shared | None = None


def stepped_stage(setting: Setting, source: Source, task: TaskRunner) -> Stage:
    """Build a stage in this process, where rig and engine advance together as fast as they go."""
    from wetloop.engine.rig import Devices, Rig
    from wetloop.recording.log import RecordingLog
    from wetloop.recording.writer import Writer

    if not isinstance(source, Stimulator):
        raise ConfigError(f"source {source.info.name} cannot stimulate: choose a source that is also a stimulator")
    engine, recording, header = engine_of(setting), setting.config.recording, header_of(setting, task)
    hardware = Devices(engine, source, source, keep_samples=recording.raw_samples)
    rig = Rig(engine, hardware, setting.table, setting.plan, Unpaced())
    path = recording_path(setting.config)
    writer = Writer(path, header, **_how(recording))
    log = RecordingLog(writer, header.decision_dtype, header.event_names, rig)
    return Stage(rig, engine, log, dict, lambda: None)


def live_stage(setting: Setting, task: TaskRunner) -> Stage:
    """Build a stage of several processes, where the rig keeps the time."""
    from wetloop.engine.arena import Arena
    from wetloop.engine.crew import Crew
    from wetloop.engine.engine import EnginePort
    from wetloop.engine.live import READERS, Shared, shared_spec
    from wetloop.engine.overrun import Overruns
    from wetloop.engine.remote import LiveHardware, LivePace, live_facts
    from wetloop.engine.rig import Rig
    from wetloop.engine.roles import run_engine, run_source, run_stimulator
    from wetloop.kernels.rings import prepare
    from wetloop.recording.health import RecorderWatch
    from wetloop.recording.process import NewFile, RemoteLog, run_recorder

    config, header, path = setting.config, header_of(setting, task), recording_path(setting.config)
    arena = Arena.create(header.identifier, shared_spec(setting.info, header.decision_dtype))
    for ring, readers in READERS.items():
        prepare(arena.ring(ring), *readers)
    shared, name, recording = Shared.of(arena), arena.name, config.recording
    crew = Crew(
        {
            "source": (run_source, (name, setting.played.source, config.seed, setting.table)),
            "engine": (run_engine, (name, _engine_parts(setting))),
            "stimulator": (run_stimulator, (name, config.guard.lease_ms)),
            "recorder": (run_recorder, (name, NewFile(path, header, _how(recording)))),
        },
        spared=("recorder",),
    )
    engine = EnginePort(shared.records, shared.rings, shared.operator)
    rate = setting.info.sampling_frequency
    pace = Overruns(config.overrun, engine, rate, LivePace(shared.control, rate))
    rig = Rig(engine, LiveHardware(arena, crew), setting.table, setting.plan, pace)
    watch = RecorderWatch(shared, crew, path, rate, recording)
    log = RemoteLog(shared.decisions, header.event_names, watch)

    def close() -> None:
        crew.join()
        arena.close()

    def facts() -> dict[str, Any]:
        return live_facts(shared, crew) | {"recorder": watch.facts()}

    return Stage(rig, engine, log, facts, close, shared)


def _how(recording: RecordingConfig) -> dict[str, Any]:
    """Return the options of the writer of a recording."""
    from wetloop.recording.journal import Safekeeping

    keeping = Safekeeping(recording.journal, recording.keep_journal, recording.reserve_mb)
    return {"raw_samples": recording.raw_samples, "compression": recording.compression, "safekeeping": keeping}


def header_of(setting: Setting, task: TaskRunner) -> Header:
    """Return all that a recording holds before the first block."""
    from wetloop.recording.header import Header

    config = setting.config
    return Header(
        identifier=str(uuid.uuid4()),
        session_start=datetime.now(UTC),
        description=f"{setting.played.task.kind} on {setting.info.name}, condition {config.condition}",
        config_json=config.model_dump_json(),
        seed=config.seed,
        versions={"wetloop": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        info=setting.info,
        layout=setting.layout,
        table=setting.table,
        limits=setting.limits,
        decision_samples=setting.plan.decision,
        event_names=setting.played.task.event_names(),
        action_names=task.action_names,
        observation_names=task.observation_names,
        n_actions=task.n_actions,
        n_observations=task.n_observations,
        condition=config.condition,
        subject=config.subject.model_dump(exclude_none=True),
        reflex_source="" if setting.reflex is None else setting.reflex.text,
    )


def recording_path(config: SessionConfig) -> Path:
    """Return the path of a new recording; its folder is made."""
    folder = Path(config.recording.folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    stem = config.recording.name or f"{config.task.kind}-{config.condition}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    path, n = folder / f"{stem}.nwb", 1
    while path.exists() and config.recording.name is None:
        n += 1
        path = folder / f"{stem}-{n}.nwb"
    return path
