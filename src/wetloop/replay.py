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
from wetloop.core.errors import ConfigError
from wetloop.core.types import SpikeBatch
from wetloop.engine.feed import RecordedBlocks
from wetloop.engine.rig import Rig
from wetloop.recording.comparison import Comparison, Rows
from wetloop.recording.reader import Recording
from wetloop.session import Session
from wetloop.tasks.isolation import replayed_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wetloop.assembly import Setting
    from wetloop.config import SessionConfig

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
        answers = rows.decisions["answer"][rows.decisions["playing"] == 1].tolist()
        task = replayed_task(setting.played.task, setting.config.decision_ms, answers)
        with assembly.players(setting, task) as players, rig:
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
        spikes = recording.spikes()
        edges = np.searchsorted(spikes["known_sample"], decisions["stop_sample"])
        first = int(np.searchsorted(spikes["known_sample"], decisions["start_sample"][:1]).sum())
        actions = np.empty_like(decisions["action"])
        for k, (start, stop, playing) in enumerate(
            zip(*(decisions[name].tolist() for name in ("start_sample", "stop_sample", "playing")), strict=True)
        ):
            batch = SpikeBatch(start, stop, spikes[first : edges[k]])
            actions[k] = decoder.decode(batch, held=not playing)
            first = edges[k]
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
