"""Where a session plays: rig, engine and recorder, in one process or in several, made from its setting."""

from __future__ import annotations

import platform
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop import __version__
from wetloop.assembly import engine_of, engine_parts
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError
from wetloop.core.protocols import Stimulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from wetloop.assembly import Setting
    from wetloop.config import SessionConfig
    from wetloop.config.models import RecordingConfig
    from wetloop.core.protocols import Source
    from wetloop.engine.alarms import Alarms
    from wetloop.engine.arena import Arena
    from wetloop.engine.brake import Brake
    from wetloop.engine.crew import Crew
    from wetloop.engine.engine import EnginePort
    from wetloop.engine.live import Shared
    from wetloop.engine.notify import Notifier
    from wetloop.engine.rig import Rig
    from wetloop.engine.steering import Steering
    from wetloop.engine.watchdogs import Watchdog
    from wetloop.kernels.rings import Ring
    from wetloop.recording.header import Header
    from wetloop.recording.log import Log
    from wetloop.recording.process import NewFile
    from wetloop.tasks.runner import TaskRunner

PACKAGES = ("numpy", "scipy", "numba", "h5py", "pynwb", "gymnasium")


@dataclass(frozen=True)
class Stage:
    """Where a session plays: the rig, the engine behind it, and who takes notes.

    ``facts`` tells what real time needed and got; ``close`` ends what was started. A real-time session has shared
    memory of this ``name``, for observers, and ``steering``, for people. What watchdogs and people have done stands in
    ``care``.
    """

    rig: Rig
    engine: EnginePort
    log: Log
    facts: Callable[[], dict[str, Any]]
    close: Callable[[], None]
    care: Care
    name: str = ""
    shared: Shared | None = None
    steering: Steering | None = None


class Care(NamedTuple):
    """Who looks after a session: what acts on it, what raises alarms, and what tells others."""

    brake: Brake
    alarms: Alarms
    notifier: Notifier


def _care(setting: Setting, engine: EnginePort, stop: threading.Event, path: Path, shared: Shared | None) -> Care:
    from wetloop.engine.alarms import Alarms
    from wetloop.engine.brake import Brake
    from wetloop.engine.notify import Notifier
    from wetloop.engine.transitions import Transitions, host_time

    config = setting.config
    about = {"rig": config.rig.name or setting.info.name, "culture_id": config.subject.culture_id, "file": str(path)}
    notifier = Notifier(config.watch.notify, about)

    def tell(who: str, why: str) -> None:
        notifier.tell("tripped", {"at": host_time(), "who": who, "why": why})

    ends = config.guard.after_trip == "end"
    brake = Brake(engine, Transitions(shared), stop, end_on_trip=ends, tell=tell)
    return Care(brake, Alarms(brake, notifier, None if shared is None else shared.alarms), notifier)


def stepped_stage(setting: Setting, source: Source, task: TaskRunner, stop: threading.Event | None = None) -> Stage:
    """Build a stage in this process, where rig and engine advance together as fast as they go."""
    from wetloop.engine.live import FRAMES_HELD
    from wetloop.engine.rig import Devices, Rig
    from wetloop.engine.watchdogs import EngineView, Watch, watchdogs
    from wetloop.kernels.rings import RECORDER, new_ring
    from wetloop.recording.health import DiskWatch
    from wetloop.recording.log import ROWS, DecisionRows, RecordingLog
    from wetloop.recording.writer import Writer

    if setting.info.real_time or setting.info.immediate:
        raise ConfigError(f"{setting.info.name} keeps its own time: run the session without --accelerated")
    stimulator = _stimulator(setting, source)
    engine, recording, header = engine_of(setting), setting.config.recording, header_of(setting, task)
    hardware = Devices(engine, source, stimulator, keep_samples=recording.raw_samples)
    path = recording_path(setting.config)
    writer = Writer(path, header, **_how(recording))
    care = _care(setting, engine, stop or threading.Event(), path, None)
    dogs = [*watchdogs(setting.played.watch), DiskWatch(lambda: writer.space_mb)]
    watch = Watch(dogs, care.alarms, care.brake, EngineView(engine, setting.info), Unpaced())
    rig = Rig(engine, hardware, setting.table, setting.plan, watch)
    decisions = new_ring(header.decision_dtype, ROWS, RECORDER)
    frames = new_ring(header.frame_dtype, FRAMES_HELD, RECORDER)
    rows = DecisionRows(decisions, header.event_names, setting.info.sampling_frequency)
    log = RecordingLog(writer, rows, frames, rig, care.alarms.ring)
    return Stage(rig, engine, _with_camera(log, setting, task, frames), dict, care.notifier.close, care)


def _stimulator(setting: Setting, source: Source) -> Stimulator:
    """Return what stimulates in this process."""
    if not setting.has_own_stimulator:
        return setting.played.stimulator.build(setting.info)
    if isinstance(source, Stimulator):
        return source
    raise ConfigError(f"source {source.info.name} cannot stimulate: choose a stimulator")


def live_stage(setting: Setting, task: TaskRunner, stop: threading.Event) -> Stage:
    """Build a stage of several processes, where the rig keeps the time."""
    from wetloop.engine.engine import EnginePort
    from wetloop.engine.live import Shared
    from wetloop.engine.overrun import Overruns
    from wetloop.engine.remote import LiveHardware, LivePace, live_facts, pulses_at_rig
    from wetloop.engine.rig import Rig
    from wetloop.engine.steering import Steering
    from wetloop.engine.watchdogs import EngineView, LostSource, Refused, Watch, watchdogs
    from wetloop.recording.health import DiskWatch, Recorder, RecorderWatch
    from wetloop.recording.process import NewFile, RemoteLog

    header = replace(header_of(setting, task), follows_clock=True)
    config, path = setting.config, recording_path(setting.config)
    arena = _arena(setting, header, path)
    shared, name, recording = Shared.of(arena), arena.name, config.recording
    crew = _crew(setting, name, NewFile(path, header, _how(recording)))
    engine = EnginePort(shared.records, shared.rings, shared.operator)
    rate = setting.info.sampling_frequency
    care = _care(setting, engine, stop, path, shared)
    brake, alarms, _ = care
    steering = Steering(shared, brake, Overruns(config.overrun, brake, setting.info, LivePace(shared.control, rate)))
    lost = LostSource(config.watch.lost, alarms, brake, steering.heed)
    recorder = RecorderWatch(Recorder(shared, crew, alarms), path, rate, recording)
    refused = Refused(config.watch.refused, lambda: pulses_at_rig(shared))
    dogs: list[Watchdog] = [lost, refused, *watchdogs(setting.played.watch), DiskWatch(recorder.disk_mb)]
    watch = Watch(dogs, alarms, brake, EngineView(engine, setting.info), steering)
    rig = Rig(engine, LiveHardware(arena, crew, lost), setting.table, setting.plan, watch)
    log = _with_camera(RemoteLog(shared.decisions, header.event_names, rate, recorder), setting, task, shared.frames)

    def close() -> None:
        crew.join()
        arena.close()
        care.notifier.close()

    def facts() -> dict[str, Any]:
        return live_facts(shared, crew) | {"recorder": recorder.facts()}

    return Stage(rig, engine, log, facts, close, care, name, shared, steering)


def _crew(setting: Setting, name: str, file: NewFile) -> Crew:
    """Return the processes of a session whose shared memory has this name, not started yet."""
    from wetloop.engine.crew import Crew
    from wetloop.engine.roles import Device, run_engine, run_source, run_stimulator
    from wetloop.recording.process import run_recorder

    config, own = setting.config, setting.has_own_stimulator
    device = None if own else Device(setting.played.stimulator, setting.info, setting.table)
    return Crew(
        {
            "source": (run_source, (name, setting.played.source, config.seed, setting.table if own else None)),
            "engine": (run_engine, (name, engine_parts(setting))),
            "stimulator": (run_stimulator, (name, config.guard.lease_ms, device)),
            "recorder": (run_recorder, (name, file)),
        },
        spared=("recorder",),
    )


def _arena(setting: Setting, header: Header, path: Path) -> Arena:
    """Return the shared memory of a real-time session, with empty rings and the notice for observers."""
    from wetloop.engine.arena import Arena
    from wetloop.engine.live import READERS, shared_spec
    from wetloop.kernels.rings import prepare
    from wetloop.recording.notice import NOTICE, notice

    told = notice(header, path)
    spec = shared_spec(setting.info, header.decision_dtype, header.frame_dtype)
    arena = Arena.create(header.identifier, {**spec, NOTICE: ("u1", (len(told),))})
    for ring, readers in READERS.items():
        prepare(arena.ring(ring), *readers)
    arena.arrays[NOTICE].data[:] = told
    return arena


def _how(recording: RecordingConfig) -> dict[str, Any]:
    """Return the options of the writer of a recording."""
    from wetloop.recording.journal import Safekeeping

    keeping = Safekeeping(recording.journal, recording.keep_journal, recording.reserve_mb)
    return {"raw_samples": recording.raw_samples, "compression": recording.compression, "safekeeping": keeping}


def _with_camera(log: Log, setting: Setting, task: TaskRunner, frames: Ring) -> Log:
    """Return a log that also keeps pictures of the game, where they are asked for."""
    from wetloop.recording.frames import Camera, FramesLog

    recording = setting.config.recording
    if recording.frames == "none":
        return log
    return FramesLog(log, Camera(task.picture, frames, setting.info.sampling_frequency, recording.frame_rate_hz))


def header_of(setting: Setting, task: TaskRunner) -> Header:
    """Return all that a recording holds before the first block."""
    from wetloop.recording.header import Header

    config = setting.config
    if config.recording.frames != "none" and not task.shows_pictures:
        raise ConfigError(
            f"task {setting.played.task.kind} shows no picture that could be recorded: set recording.frames to none"
        )
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
        decoder_fitted=setting.played.decoder.fitted(),
        subject=config.subject.model_dump(exclude_none=True),
        reflex_source="" if setting.reflex is None else setting.reflex.text,
        frame_shape=config.recording.frame_shape,
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
