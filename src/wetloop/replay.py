"""Replays a recording through the same session, and compares; or asks what another decoder would have done."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop import assembly
from wetloop.config import from_json
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError, RecordingError
from wetloop.core.types import Tick
from wetloop.engine.feed import RecordedBlocks
from wetloop.engine.rig import Rig
from wetloop.recording.comparison import Comparison, Rows
from wetloop.recording.reader import Recording
from wetloop.recording.windows import batches
from wetloop.session import Session
from wetloop.tasks.isolation import replayed_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wetloop.assembly import Players, Setting
    from wetloop.config import SessionConfig
    from wetloop.core.types import Records
    from wetloop.tasks.runner import TaskRunner

SAME = 1e-12
"""Actions closer than this are the same."""


@dataclass(frozen=True)
class VerifyReport:
    """Whether a replay agreed: how much was compared, whether detection was run again, and what differed."""

    agrees: bool
    decisions: int
    pulses: int
    spikes: int
    detection_rerun: bool
    seconds_rig: float
    seconds_wall: float
    differences: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def verify(path: Path, on_progress: Callable[[float], None] | None = None) -> VerifyReport:
    """Run detection (where samples were recorded), decoder, task, encoder and feedback again and compare every result.

    Parameters
    ----------
    path
        A recording.
    on_progress
        Called now and then with the share done, 0 to 1.
    """
    begun = time.monotonic()
    with Recording(path) as recording:
        setting = assembly.setting_on(recording.info, from_json(json.dumps(recording.config)))
        _require_recorded_reflex(setting, recording)
        engine = assembly.replayed_engine_of(setting, recording.operator_commands())
        rows = Rows.of(recording)
        blocks = RecordedBlocks(engine, rows.blocks, rows.spikes, recording.samples)
        rig = Rig(engine, blocks, setting.table, setting.plan, Unpaced())
        comparison = Comparison(rows, recording, engine, on_progress)
        with _players(setting, rows.decisions) as players, rig:
            Session(rig, players, comparison).run(len(rows.decisions), threading.Event())
            blocks.finish()
        differences = comparison.finish()
        return VerifyReport(
            agrees=not differences,
            decisions=comparison.decisions,
            pulses=comparison.pulses.n,
            spikes=comparison.spikes.n,
            detection_rerun=recording.samples is not None,
            seconds_rig=comparison.decisions * setting.plan.decision / setting.info.sampling_frequency,
            seconds_wall=time.monotonic() - begun,
            differences=differences,
        )


def _require_recorded_reflex(setting: Setting, recording: Recording) -> None:
    """Refuse to run a reflex whose text is not the recorded one; code is never run out of a recording."""
    if setting.reflex and setting.reflex.text != recording.header.get("reflex_source", ""):
        raise ConfigError(
            f"reflex {setting.reflex.name}: its text differs from the one in {recording.path}, so a replay would prove "
            "nothing: put the recorded text back; it is Recording.header['reflex_source']"
        )


def play_again(recording: Recording) -> Iterator[TaskRunner]:
    """Step the recorded task with the recorded actions and holds; yield it after every decision.

    Raises
    ------
    RecordingError
        At the first decision at which the game is not the recorded one.
    """
    setting = assembly.setting_on(recording.info, from_json(json.dumps(recording.config)))
    decisions = recording.decisions()
    with _players(setting, decisions) as players:
        yield from _stepped_again(players.task, decisions, recording.path)


def _players(setting: Setting, decisions: Records) -> Players:
    """Return the players of a replay, whose task is late where the recorded one was."""
    answers = decisions["answer"][decisions["playing"] == 1].tolist()
    return assembly.players(setting, replayed_task(setting.played.task, setting.config.decision_ms, answers))


def _stepped_again(task: TaskRunner, decisions: Records, path: Path) -> Iterator[TaskRunner]:
    for row in decisions:
        index, start, stop = (int(row[name]) for name in ("index", "start_sample", "stop_sample"))
        if not row["playing"]:
            task.hold(stop + 1)
        outcome = task.step(row["action"], Tick(index, start, stop, stop))
        if outcome.observation.tobytes() != row["observation"].tobytes():
            raise RecordingError(
                f"{path}: played again, the task shows another game from decision {index} on: it does not "
                "depend on its seed and actions alone, or has changed since; pictures of it can only be recorded "
                "(recording.frames)"
            )
        yield task


@dataclass(frozen=True)
class CompareReport:
    """How often another decoder would have acted differently on the same spikes."""

    decisions: int
    compared: int
    different: int
    opposite: int
    share: float
    mean_abs_difference: float
    first: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def compare(path: Path, config: SessionConfig) -> CompareReport:
    """Decode the recorded spikes with the decoder, layout and seed of ``config``; only decisions in play count."""
    with Recording(path) as recording:
        setting = assembly.setting_on(recording.info, config)
        with assembly.players(setting) as players:
            decoder, decisions = players.decoder, recording.decisions()
        actions = np.empty_like(decisions["action"])
        for k, batch in enumerate(batches(recording.spikes(), decisions)):
            actions[k] = decoder.decode(batch, held=not decisions["playing"][k])
        return _compared(decisions, actions, setting.info.sampling_frequency)


def _compared(decisions: Any, actions: Any, sampling_frequency: float) -> CompareReport:
    playing = decisions["playing"] == 1
    apart = np.abs(actions - decisions["action"]).max(axis=1)
    differs = playing & (apart > SAME)
    opposite = playing & (actions * decisions["action"] < 0).any(axis=1)
    sentences = [
        f"decision {k} at {decisions['stop_sample'][k] / sampling_frequency:.3f} s: "
        f"recorded {decisions['action'][k].tolist()}, would be {actions[k].tolist()}"
        for k in np.flatnonzero(differs)[:5]
    ]
    compared = int(playing.sum())
    return CompareReport(
        decisions=len(decisions),
        compared=compared,
        different=int(differs.sum()),
        opposite=int(opposite.sum()),
        share=float(differs.sum() / max(1, compared)),
        mean_abs_difference=float(apart[playing].mean()) if compared else 0.0,
        first=sentences,
    )
