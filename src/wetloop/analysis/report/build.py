"""Makes reports: recordings and experiments, measured one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.analysis.report import (
    answers,
    bursts,
    cascades,
    comparison,
    connectivity,
    dose,
    headline,
    intervals,
    learning,
    methods,
    overview,
    policy,
    raster,
    rate_map,
    timing,
    verdict,
)
from wetloop.analysis.report.material import Material, material
from wetloop.analysis.report.numbers import plain_columns
from wetloop.analysis.report.outcomes import Sketch, sketch
from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wetloop.analysis.report.comparison import ComparisonNumbers
    from wetloop.analysis.report.headline import HeadlineNumbers
    from wetloop.analysis.report.numbers import Columns, Numbers
    from wetloop.analysis.report.style import Panel
    from wetloop.analysis.report.verdict import VerdictNumbers

MOST_IN_FULL = 6
"""Sessions that are shown with all of their figures; of more, the page compares only."""
MANIFEST = "manifest.json"
PANELS: tuple[Callable[[Material], Panel], ...] = (
    overview.panel,
    raster.panel,
    rate_map.panel,
    answers.panel,
    policy.panel,
    intervals.panel,
    bursts.panel,
    cascades.panel,
    connectivity.panel,
    dose.panel,
    timing.panel,
)


class Subject(NamedTuple):
    """What is reported on: recordings, the arm of each where an experiment names it, and what the experiment says."""

    files: list[Path]
    arms: dict[Path, str]
    verdict: VerdictNumbers | None = None


@dataclass(frozen=True)
class SessionReport:
    """One session: its facts, methods, parameters and figures."""

    file: str
    headline: HeadlineNumbers
    methods: list[methods.Paragraph]
    parameters: Columns
    panels: list[Panel]

    def named(self) -> dict[str, Numbers]:
        """Return all numbers by the names of their figures."""
        return {"headline": self.headline, **{panel.name: panel.numbers for panel in self.panels}}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        told = {name: numbers.to_dict() for name, numbers in self.named().items()}
        text = {paragraph.heading: paragraph.text for paragraph in self.methods}
        return {"file": self.file, "numbers": told, "methods": text, "parameters": plain_columns(self.parameters)}


@dataclass(frozen=True)
class Report:
    """A report on sessions; ``verdict``, ``comparison`` and ``learning`` are over all of them."""

    verdict: VerdictNumbers | None
    comparison: ComparisonNumbers
    learning: Panel
    sessions: list[SessionReport]
    left_out: int

    def compared(self) -> dict[str, Numbers]:
        """Return the numbers over all sessions by name."""
        said: dict[str, Numbers] = {} if self.verdict is None else {"experiment": self.verdict}
        return {**said, "comparison": self.comparison, "learning": self.learning.numbers}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them: every number of the page."""
        return {
            **{name: numbers.to_dict() for name, numbers in self.compared().items()},
            "sessions": [session.to_dict() for session in self.sessions],
            "sessions_left_out": self.left_out,
        }


def subject_of(paths: Sequence[Path]) -> Subject:
    """Return what the paths name: one experiment, or recordings and folders of recordings.

    Raises
    ------
    ConfigError
        Where an experiment is not named alone, or a folder holds no recording.
    """
    experiments = [path for path in paths if path.name == MANIFEST or (path / MANIFEST).is_file()]
    if len(paths) == len(experiments) == 1:
        return _of_experiment(paths[0])
    if experiments:
        raise ConfigError(f"{experiments[0]} is an experiment: report on it alone")
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.nwb")) if path.is_dir() else [path]
        if not inside:
            raise ConfigError(f"{path}: there is no recording (*.nwb) in this folder: name one that has some")
        found += inside
    return Subject(list(dict.fromkeys(found)), {})


def _of_experiment(folder: Path) -> Subject:
    from wetloop.experiments import load

    experiment = load(folder)
    if not experiment.runs:
        raise ConfigError(f"{folder}: no run of this experiment is finished: start it with wetloop experiment")
    arms = {run.file: run.condition for run in experiment.runs}
    return Subject(list(arms), arms, verdict.measure(experiment))


def report_on(subject: Subject, *, on_progress: Callable[[float], None] | None = None) -> Report:
    """Measure sessions one by one and compare them; with more than six, each is measured for the comparison only.

    Raises
    ------
    ConfigError
        Where there is nothing to report on.
    RecordingError
        Where a file cannot be read.
    """
    in_full = len(subject.files) <= MOST_IN_FULL
    sketches: list[Sketch] = []
    sessions: list[SessionReport] = []
    for path in subject.files:
        session = material(path)
        if not len(session.decisions):
            raise ConfigError(f"{path}: no decision was recorded, so there is nothing to report")
        sketches.append(sketch(session, subject.arms.get(path)))
        sessions += [_session(session)] if in_full else []
        if on_progress:
            on_progress(len(sketches) / len(subject.files))
    left_out = len(sketches) - len(sessions)
    return Report(subject.verdict, comparison.measure(sketches), learning.panel(sketches), sessions, left_out)


def _session(session: Material) -> SessionReport:
    return SessionReport(
        str(session.path),
        headline.measure(session),
        methods.paragraphs(session),
        methods.parameters(session),
        [make(session) for make in PANELS],
    )
