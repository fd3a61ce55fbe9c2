"""Puts a session together from its configuration; the only place that knows which object goes where."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wetloop.coding.agent import ByAgentConfig
from wetloop.conditions import applied
from wetloop.core.errors import ConfigError, GuardError
from wetloop.core.guard import StimGuard
from wetloop.core.plugin import BuildContext, OwnStimulatorConfig
from wetloop.registry import find_reflex, suggest

if TYPE_CHECKING:
    from wetloop.config import SessionConfig
    from wetloop.core.guard import PatternTable
    from wetloop.core.layout import Layout
    from wetloop.core.limits import StimLimits
    from wetloop.core.protocols import Decoder, Encoder, FeedbackRule, Source
    from wetloop.core.types import Records, RigInfo
    from wetloop.engine.build import EngineParts
    from wetloop.engine.engine import Engine
    from wetloop.engine.feed import ReplayedEngine
    from wetloop.engine.reflex import ReflexCode
    from wetloop.engine.rig import Plan
    from wetloop.tasks.isolation import AnyEnv
    from wetloop.tasks.runner import TaskRunner


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
    def has_own_stimulator(self) -> bool:
        """Whether the source itself stimulates."""
        return isinstance(self.played.stimulator, OwnStimulatorConfig)

    @property
    def plan(self) -> Plan:
        """Decision, plan and lease in samples."""
        from wetloop.engine.rig import Plan

        return Plan(*(self.info.samples(ms) for ms in (
            self.config.decision_ms, self.config.plan_ahead_ms, self.config.guard.lease_ms,
        )))  # fmt: skip


@dataclass(frozen=True)
class Players:
    """The plug-ins of one session; a context, at whose end the task ends."""

    task: TaskRunner
    encoder: Encoder
    decoder: Decoder
    feedback: FeedbackRule

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.task.close()


def describe(config: SessionConfig) -> tuple[Setting, Source]:
    """Return the setting of a session and its source, unopened.

    Raises
    ------
    ConfigError, GuardError
        Where the rig cannot do what the configuration asks for.
    """
    played = applied(config)
    if isinstance(played.decoder, ByAgentConfig):
        played.decoder.admit(played.task)
    source = played.source.build(config.seed)
    setting = setting_on(played.stimulator.describe(source.info), config)
    stimulates = played.source if setting.has_own_stimulator else played.stimulator
    misfits = stimulates.misfits(setting.table)
    if misfits:
        raise GuardError(f"{stimulates.kind} cannot load the session's patterns:\n  " + "\n  ".join(misfits))
    return setting, source


def setting_on(info: RigInfo, config: SessionConfig) -> Setting:
    """Return the setting of a session on a rig that is known by its description alone."""
    played = applied(config)
    _require_events(played)
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


def _require_events(config: SessionConfig) -> None:
    """Refuse feedback for an event that the task never reports: it would never be delivered."""
    known = list(config.task.event_names())
    unknown = [event for event in config.feedback.event_names() if event not in known]
    if unknown:
        raise ConfigError(
            f"feedback: event {unknown[0]!r} is answered, but task {config.task.kind} never reports it; "
            f"{suggest(unknown[0], known) or 'it reports no event: set feedback.kind to none'}"
        )


def players(setting: Setting, env: AnyEnv | None = None) -> Players:
    """Build task, encoder, decoder and feedback rule; by default with a task that is never late.

    Where one of them cannot be built, the task is ended.
    """
    from wetloop.coding.codes import facts_of, refuse_crowding
    from wetloop.tasks.runner import TaskRunner

    config = setting.played
    with ExitStack() as stack:
        env = env or config.task.build(config.decision_ms)
        stack.callback(env.close)
        task = TaskRunner(env, config.seed, scores=config.decoder.gives_scores())
        context = BuildContext(
            setting.info, setting.layout, setting.table, setting.plan.decision, config.seed,
            task.action_names, task.observation_names, task.frame_shape, setting.limits, setting.plan.ahead,
        )  # fmt: skip
        encoder = config.encoder.build(context)
        answers = config.feedback.most_in_a_second(setting.layout, setting.info)
        refuse_crowding(answers, facts_of(encoder), setting.limits)
        made = Players(task, encoder, config.decoder.build(context), config.feedback.build(context))
        stack.pop_all()
        return made


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

    parts = engine_parts(setting)
    return parts.connected(Engine(new_engine(parts), new_rings()))


def replayed_engine_of(setting: Setting, operator_commands: Records) -> ReplayedEngine:
    """Build the engine of a replay."""
    from wetloop.engine.build import new_engine, new_rings
    from wetloop.engine.feed import ReplayedEngine

    parts = engine_parts(setting)
    return parts.connected(ReplayedEngine(new_engine(parts), new_rings(), operator_commands))


def engine_parts(setting: Setting) -> EngineParts:
    """Return what an engine is built from, in this process or another."""
    from wetloop.engine.build import EngineParts, ReflexParts, Safety
    from wetloop.engine.reflex import Wiring

    config, info, reflex = setting.played.reflex, setting.info, None
    if setting.reflex is not None:
        patterns = setting.table.find(*config.prepared(info.unit))
        reflex = ReflexParts(setting.reflex, Wiring(info.n_channels, info.frame_samples, patterns, config.parameters))
    safety = Safety(setting.limits, setting.config.guard.trip_refused_per_s or 0)
    return EngineParts(info, setting.table, safety, setting.config.detection, reflex, setting.config.exclusion)
