"""Puts a session together from its configuration; the only place that knows which object goes where."""

from __future__ import annotations

import platform
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from wetloop import __version__
from wetloop.conditions import applied
from wetloop.core.clock import Unpaced, WallPace
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.plugin import BuildContext
from wetloop.core.protocols import Stimulator
from wetloop.registry import find_reflex

if TYPE_CHECKING:
    from wetloop.config import SessionConfig
    from wetloop.core.guard import PatternTable
    from wetloop.core.layout import Layout
    from wetloop.core.limits import StimLimits
    from wetloop.core.protocols import Decoder, Encoder, FeedbackRule, Source
    from wetloop.core.types import RigInfo
    from wetloop.engine.engine import Engine
    from wetloop.engine.reflex import CompiledReflex, ReflexCode
    from wetloop.engine.rig import Devices, Plan, Rig
    from wetloop.recording.header import Header
    from wetloop.recording.log import RecordingLog
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
    context = BuildContext(setting.info, setting.layout, setting.table, setting.plan.decision, config.seed)
    return Players(
        task=TaskRunner(config.task.build(config.decision_ms), config.seed),
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


def reflex_of(setting: Setting) -> CompiledReflex | None:
    """Compile and rehearse the session's reflex, if it has one."""
    if setting.reflex is None:
        return None
    from wetloop.engine.reflex import Wiring, compile_reflex

    config, info = setting.played.reflex, setting.info
    patterns = setting.table.find(*config.prepared(info.unit))
    return compile_reflex(setting.reflex, Wiring(info.n_channels, info.frame_samples, patterns, config.parameters))


def engine_of(setting: Setting) -> Engine:
    """Build the engine, disarmed, with its reflex."""
    from wetloop.engine.build import Safety, new_engine, new_rings
    from wetloop.engine.engine import Engine

    safety = Safety(setting.limits, setting.config.guard.trip_refused_per_s or 0)
    engine = Engine(new_engine(setting.info, setting.table, safety, setting.config.detection), new_rings())
    reflex = reflex_of(setting)
    if reflex is not None:
        engine.attach(reflex)
    return engine


def devices_of(source: Source, engine: Engine, *, keep_samples: bool) -> Devices:
    """Join the source with its stimulator."""
    from wetloop.engine.rig import Devices

    if not isinstance(source, Stimulator):
        raise ConfigError(f"source {source.info.name} cannot stimulate: choose a source that is also a stimulator")
    return Devices(engine, source, source, keep_samples=keep_samples)


def rig_of(setting: Setting, devices: Devices, engine: Engine, *, accelerated: bool) -> Rig:
    """Put a face on engine and devices, paced to real time unless accelerated."""
    from wetloop.engine.rig import Rig

    pace = Unpaced() if accelerated else WallPace(setting.info.sampling_frequency)
    return Rig(engine, devices, setting.table, setting.plan, pace)


def recording_of(setting: Setting, task: TaskRunner, rig: Rig) -> RecordingLog:
    """Begin a recording of what the rig and the session do."""
    from wetloop.recording.log import DecisionRows, RecordingLog
    from wetloop.recording.schema import decision_dtype
    from wetloop.recording.writer import Writer

    recording, header = setting.config.recording, header_of(setting, task)
    dtype = decision_dtype(header.n_actions, header.n_observations)
    writer = Writer(
        recording_path(setting.config), header, raw_samples=recording.raw_samples, compression=recording.compression
    )
    return RecordingLog(writer, DecisionRows(dtype, header.event_names), rig)


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
