"""Replays a recording through the same session, and compares; or asks what another decoder would have done.

Engine, decoder and task have a state that no recording holds, so that every replay begins at the start of the
recording; of a part, what comes before is replayed as fast as it goes.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetloop import assembly
from wetloop.config import from_json
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError, RecordingError
from wetloop.core.types import Tick
from wetloop.engine.feed import RecordedBlocks
from wetloop.engine.rig import Rig
from wetloop.recording.comparison import Comparison, Part, Rows, section_of
from wetloop.recording.reader import Recording
from wetloop.recording.tally import Tally
from wetloop.recording.windows import batches
from wetloop.replay_players import replay_players, retold_task
from wetloop.replay_show import PartLog, PartPace, teller
from wetloop.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wetloop.assembly import Setting
    from wetloop.config import SessionConfig
    from wetloop.core.types import Records
    from wetloop.recording.comparison import Section
    from wetloop.replay_show import Show
    from wetloop.tasks.runner import TaskRunner

SAME = 1e-12
"""Actions closer than this are the same."""
WHOLE = Part()
KNOWN_MODULES = {"ale_py"}
"""Modules that bring environments and that a replay imports without being asked to."""
PLAYED_BEFORE = ("source", "stimulator")
"""Sections that a replay does without: what they made is in the recording, and who made it may be elsewhere by now."""


@dataclass(frozen=True)
class VerifyReport:
    """Whether a replay agreed: how much was compared, whether detection was run again, and what differed.

    Detection is run again as far as raw samples go, to ``detected_to_s``; from there on the recorded spikes are taken.
    ``task_rerun`` is False where the task was a program elsewhere, whose answers were taken from the file. Compared was
    what lies from ``from_s`` to ``to_s`` on the rig's clock; replayed was everything from
    ``replayed_from_s`` on, and ``differences_before`` rows before the part differed.
    """

    agrees: bool
    from_s: float
    to_s: float
    replayed_from_s: float
    decisions: int
    pulses: int
    spikes: int
    detection_rerun: bool
    detected_to_s: float
    task_rerun: bool
    seconds_rig: float
    seconds_wall: float
    differences_before: int
    differences: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


@dataclass(frozen=True)
class PlayReport:
    """What was seen in a part of a recording; ``same_as_recorded`` says whether the replay agreed in it."""

    from_s: float
    to_s: float
    decisions: int
    events: dict[str, int]
    rallies: int
    mean_rally_length: float | None
    spikes: int
    spikes_hz: float
    seconds_wall: float
    same_as_recorded: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def verify(
    path: Path,
    on_progress: Callable[[float], None] | None = None,
    *,
    part: Part = WHOLE,
    show: Show | None = None,
    trusted: bool = False,
) -> VerifyReport:
    """Run detection (where samples were recorded), decoder, task, encoder and feedback again and compare every result.

    A task that was a program elsewhere is not run again: its answers are taken from the file.

    Parameters
    ----------
    path
        A recording.
    on_progress
        Called now and then with the share done, 0 to 1.
    part
        What is compared; replayed is what comes before it, too.
    show
        Replay the part at a pace; by default as fast as it goes.
    trusted
        Read whatever the file leads to, and import the modules that its task names.
    """
    begun = time.monotonic()
    with Recording(path, trusted=trusted) as recording:
        replayed = _replayed(recording, part, show, on_progress)
        section, comparison = replayed.section, replayed.comparison
        rate = recording.info.sampling_frequency
        stop_sample = replayed.stop_sample
        return VerifyReport(
            agrees=not replayed.differences,
            from_s=section.start_sample / rate,
            to_s=stop_sample / rate,
            replayed_from_s=recording.extent()[0] / rate,
            decisions=comparison.n_decisions,
            pulses=comparison.pulses.n_compared,
            spikes=comparison.spikes.n_compared,
            detection_rerun=replayed.rows.n_sampled > 0,
            detected_to_s=replayed.rows.sampled_to / rate,
            task_rerun=replayed.task_rerun,
            seconds_rig=(stop_sample - section.start_sample) / rate,
            seconds_wall=time.monotonic() - begun,
            differences_before=comparison.differences_before,
            differences=replayed.differences,
        )


def play(path: Path, part: Part, show: Show, *, trusted: bool = False) -> PlayReport:
    """Replay a part at a pace, for the eye; return what happened in it."""
    begun = time.monotonic()
    with Recording(path, trusted=trusted) as recording:
        _, section, _, tally, differences, _ = _replayed(recording, part, show, None)
        rate, lengths = recording.info.sampling_frequency, tally.rally_lengths
        return PlayReport(
            from_s=section.start_sample / rate,
            to_s=section.stop_sample / rate,
            decisions=tally.decisions,
            events={name: tally.events[name] for name in recording.header["event_names"]},
            rallies=len(lengths),
            mean_rally_length=sum(lengths) / len(lengths) if lengths else None,
            spikes=tally.spikes,
            spikes_hz=tally.spikes * rate / (section.stop_sample - section.start_sample),
            seconds_wall=time.monotonic() - begun,
            same_as_recorded=not differences,
        )


class _Replayed(NamedTuple):
    rows: Rows
    section: Section
    comparison: Comparison
    tally: Tally
    differences: list[str]
    task_rerun: bool

    @property
    def stop_sample(self) -> int:
        """End of the last decision that was replayed, samples: of a file that was cut off, not the last one in it."""
        first, n = self.section.decisions.start, self.comparison.n_decisions
        return int(self.rows.decisions["stop_sample"][first + n - 1]) if n else self.section.start_sample


def _replayed(
    recording: Recording, part: Part, show: Show | None, on_progress: Callable[[float], None] | None
) -> _Replayed:
    """Run the session again from its first block to the end of the part."""
    setting = _setting(recording)
    _require_recorded_reflex(setting, recording)
    engine = assembly.replayed_engine_of(setting, recording.operator_commands())
    rows, rate = Rows.of(recording), setting.info.sampling_frequency
    section = section_of(rows, part, rate)
    blocks = RecordedBlocks(engine, rows.blocks, rows.spikes, recording.samples, rows.n_sampled)
    pace = Unpaced() if show is None else PartPace(section.start_sample, rate * show.speed)
    rig = Rig(engine, blocks, setting.table, setting.plan, pace)
    comparison = Comparison(rows, section, recording, engine, on_progress)
    tally = Tally(comparison, setting.info.late_us, teller(section, rate, show))
    retold = retold_task(setting, recording, rows.decisions)
    with replay_players(setting, rows.decisions, retold) as players, rig:
        Session(rig, players, PartLog(section.start_sample, comparison, tally)).run(
            section.decisions.stop, threading.Event()
        )
        if section.blocks.stop == len(rows.blocks):
            blocks.finish()
    return _Replayed(rows, section, comparison, tally, comparison.finish(), retold is None)


def _setting(recording: Recording) -> Setting:
    """Return the recorded setting; modules that its task names are imported only where they are known or trusted."""
    config = from_json(json.dumps({k: v for k, v in recording.config.items() if k not in PLAYED_BEFORE}))
    unknown = sorted(set(getattr(config.task, "modules", ())) - KNOWN_MODULES)
    if unknown and not recording.trusted:
        raise ConfigError(
            f"{recording.path}: a replay would import {', '.join(unknown)}, which the recording names; if you know "
            "where it comes from and what that does, say --trust"
        )
    return assembly.setting_on(recording.info, config)


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
    setting = _setting(recording)
    decisions = recording.decisions()
    with replay_players(setting, decisions, retold_task(setting, recording, decisions)) as players:
        yield from _stepped_again(players.task, decisions, recording.path)


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


def compare(path: Path, config: SessionConfig, *, trusted: bool = False) -> CompareReport:
    """Decode the recorded spikes with the decoder, layout and seed of ``config``; only decisions in play count."""
    with Recording(path, trusted=trusted) as recording:
        setting = assembly.setting_on(recording.info, config)
        decisions = recording.decisions()
        with assembly.players(setting, retold_task(setting, recording, decisions)) as players:
            decoder = players.decoder
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
