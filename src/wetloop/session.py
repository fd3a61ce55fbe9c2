"""The closed loop: spikes, action, outcome, stimulation, record; and what a session was, in numbers."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop import assembly, provenance, stages
from wetloop.coding.agent import ByAgentConfig
from wetloop.core.errors import WetloopError
from wetloop.kernels.jit import compiled
from wetloop.recording.tally import LONG_RALLY, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.agents.session import AgentSession
    from wetloop.assembly import Players, Setting
    from wetloop.config import SessionConfig
    from wetloop.engine.rig import Rig
    from wetloop.recording.log import DecisionLog
    from wetloop.stages import Stage

COMPLETING = "completing the recording"
PROGRESS_S = 0.1


class Session:
    """One closed loop. What stands behind rig and log (hardware, simulation, replay) makes no difference here."""

    def __init__(self, rig: Rig, players: Players, log: DecisionLog) -> None:
        self.rig, self.log = rig, log
        self.task, self.decoder = players.task, players.decoder
        self.encoder, self.feedback = players.encoder, players.feedback

    def run(self, n_decisions: int, stop: threading.Event) -> None:
        """Play until the decisions are made, ``stop`` is set or the source ends."""
        for tick in self.rig.ticks(n_decisions, stop):
            if self.rig.holding:
                self.task.hold(tick.stop_sample + 1)
            spikes = self.rig.spikes(tick)
            action = self.decoder.decode(spikes, held=self.task.held(tick))
            outcome = self.task.step(action, tick)
            response = self.feedback.respond(outcome, tick)
            program = self.encoder.encode(outcome, tick) + response.program
            serial = self.rig.submit(program, tick)
            self.task.hold(tick.stop_sample + response.hold_samples)
            self.log.decision(tick, spikes, action, outcome, serial)


class Progress(NamedTuple):
    """How far a session has come: rig time and planned duration in s, events so far, late decisions.

    ``phase`` says what is being prepared before the first decision; it is empty afterwards.
    """

    rig_s: float
    duration_s: float
    events: Mapping[str, int]
    late_decisions: int
    phase: str = ""


@dataclass(frozen=True)
class Summary:
    """What a session was; durations in s, pulses counted by kind and fate.

    ``episodes`` counts those that ended, ``reward`` is the sum of all; rallies are told of tasks that report hits.
    ``task`` counts the answers of a task in its own process that came late or never; ``transitions`` tells when the
    session ran, paused and tripped, and who wanted that why; ``alarms`` what the watchdogs saw, ``alarms_left_out`` how
    many more there were.
    """

    condition: str
    source: str
    reacts: bool
    ended: str
    duration_s: float
    wall_s: float
    decisions: int
    late_decisions: int
    events: dict[str, int]
    episodes: int
    reward: float
    rallies: int | None
    mean_rally_length: float | None
    aces_percent: float | None
    long_rallies_percent: float | None
    spikes: int
    pulses: dict[str, dict[str, int]]
    task: dict[str, int]
    lost_samples: int
    dropped: dict[str, int]
    guard_state: str
    decoder_fitted: bool
    real_time: dict[str, Any]
    file: str
    recording_shortfall: str = ""
    transitions: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    alarms_left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


class Performance(NamedTuple):
    """What a session is played with."""

    setting: Setting
    stage: Stage
    players: Players


def run_session(
    config: SessionConfig,
    *,
    accelerated: bool,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    on_stage: Callable[[Stage], None] | None = None,
) -> Summary:
    """Run one session, record it, and return its summary.

    ``on_stage`` is called once, when everything is built and nothing has started.

    Raises
    ------
    ConfigError, GuardError
        Before anything is opened, where the configuration cannot be run.
    RigError, TaskError, RecordingError
        Where a part fails. Stimulation is off, and what was recorded until then is in the file.
    """
    from wetloop.tasks.worker import own_task

    stop = stop or threading.Event()
    if on_progress is not None and not compiled():
        on_progress(Progress(0, config.duration, {}, 0, "compiling the kernels for this machine: once, about 20 s"))
    setting, source = assembly.describe(config)
    provenance.admit(config, setting.info)
    task = own_task(setting.played.task, config.decision_ms, real_time=not accelerated)
    with assembly.players(setting, task) as players:
        if accelerated:
            stage = stages.stepped_stage(setting, source, players.task, stop)
        else:
            stage = stages.live_stage(setting, players.task, stop)
        if on_stage is not None:
            on_stage(stage)
        with provenance.accounted(config, stage.log.path):
            return _play(Performance(setting, stage, players), on_progress, stop)


def _play(performance: Performance, on_progress: Callable[[Progress], None] | None, stop: threading.Event) -> Summary:
    """Play on a stage, and close it."""
    setting, stage, _ = performance
    config = setting.config
    tally = Tally(stage.log, setting.info.late_us, _reporter(on_progress, setting))
    begun = time.monotonic()

    def finish(ended: str) -> Summary:
        stage.care.brake.close(ended, tally.stop_sample)
        summary = _summary(performance, tally, ended, time.monotonic() - begun)
        stage.log.finish(summary.to_dict())
        return summary

    try:
        stage.rig.warm_up()
        begun = time.monotonic()
        with stage.rig:
            _loop(performance, tally).run(round(config.duration * 1000 / config.decision_ms), stop)
        if on_progress is not None:
            on_progress(_progress(tally, setting, COMPLETING))
        return finish(_ending(performance, tally, stop))
    except BaseException as error:
        if isinstance(error, Exception):
            stage.care.alarms.failed(f"{type(error).__name__}: {error}")
        with contextlib.suppress(WetloopError, OSError):
            finish("failed")
        raise
    finally:
        stage.close()


def _loop(performance: Performance, tally: Tally) -> Session | AgentSession:
    setting, stage, players = performance
    if isinstance(setting.played.decoder, ByAgentConfig):
        from wetloop.agents.session import AgentSession

        return AgentSession(stage.rig, players, tally, setting.config)
    return Session(stage.rig, players, tally)


def _reporter(on_progress: Callable[[Progress], None] | None, setting: Setting) -> Callable[[Tally], None]:
    last_s = 0.0

    def report(tally: Tally) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if on_progress is not None and now_s - last_s > PROGRESS_S:
            last_s = now_s
            on_progress(_progress(tally, setting))

    return report


def _progress(tally: Tally, setting: Setting, phase: str = "") -> Progress:
    rig_s = (tally.stop_sample - tally.first_sample) / setting.info.sampling_frequency
    return Progress(rig_s, setting.config.duration, dict(tally.events), tally.late_decisions, phase)


def _ending(performance: Performance, tally: Tally, stop: threading.Event) -> str:
    config, stage = performance.setting.config, performance.stage
    if stage.care.brake.tripped:
        return "tripped"
    if stage.care.brake.stopped:
        return "stopped"
    if tally.decisions >= round(config.duration * 1000 / config.decision_ms):
        return "completed"
    return "interrupted" if stop.is_set() else "source ended"


def _summary(performance: Performance, tally: Tally, ended: str, wall_s: float) -> Summary:
    setting, stage, players = performance
    facts, engine, event_names = stage.facts(), stage.engine, setting.played.task.event_names()
    rallied = "hit" in event_names
    lengths = tally.rally_lengths if rallied else []

    def percent(condition: Callable[[int], bool]) -> float | None:
        return 100 * sum(map(condition, lengths)) / len(lengths) if lengths else None

    return Summary(
        condition=setting.config.condition,
        source=setting.info.name,
        reacts=setting.info.reacts,
        ended=ended,
        duration_s=(tally.stop_sample - tally.first_sample) / setting.info.sampling_frequency,
        wall_s=wall_s,
        decisions=tally.decisions,
        late_decisions=tally.late_decisions,
        events={name: tally.events[name] for name in event_names},
        episodes=tally.episodes,
        reward=tally.reward,
        rallies=len(lengths) if rallied else None,
        mean_rally_length=sum(lengths) / len(lengths) if lengths else None,
        aces_percent=percent(lambda hits: hits == 0),
        long_rallies_percent=percent(lambda hits: hits > LONG_RALLY),
        spikes=tally.spikes,
        pulses=engine.fates(),
        task=players.task.answers,
        lost_samples=engine.lost_samples,
        dropped=engine.dropped | stage.log.dropped,
        guard_state="tripped" if stage.care.brake.tripped else engine.guard_state,
        decoder_fitted=setting.played.decoder.fitted(),
        real_time=facts,
        file=str(stage.log.path),
        recording_shortfall=stage.log.shortfall,
        transitions=stage.care.brake.transitions.to_list(),
        alarms=stage.care.alarms.to_list(),
        alarms_left_out=stage.care.alarms.left_out,
    )
