"""Makes reports: from recordings to a page, figures, CSV and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    page,
    policy,
    raster,
    rate_map,
    timing,
)
from wetloop.analysis.report.material import Material, material
from wetloop.analysis.report.numbers import Columns, Numbers, plain_columns, write_facts, write_table
from wetloop.analysis.report.style import write_files
from wetloop.core.errors import ConfigError
from wetloop.recording.export import require_free, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wetloop.analysis.report.comparison import ComparisonNumbers
    from wetloop.analysis.report.headline import HeadlineNumbers
    from wetloop.analysis.report.page import Html
    from wetloop.analysis.report.style import Panel

MOST_IN_FULL = 6
"""Sessions that are shown with all of their figures; of more, the page compares only."""
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


class Wanted(NamedTuple):
    """What is to be written: the page, and folders for figures and CSV where they are wanted."""

    out: Path
    figures: Path | None = None
    csv: Path | None = None


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
    """A report on sessions; ``comparison`` and ``learning`` are over all of them."""

    comparison: ComparisonNumbers
    learning: Panel
    sessions: list[SessionReport]
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them: every number of the page."""
        return {
            "comparison": self.comparison.to_dict(),
            "learning": self.learning.numbers.to_dict(),
            "sessions": [session.to_dict() for session in self.sessions],
            "sessions_left_out": self.left_out,
        }


def recordings(paths: Sequence[Path]) -> list[Path]:
    """Return the recordings named, and those in the folders named.

    Raises
    ------
    ConfigError
        Where a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.nwb")) if path.is_dir() else [path]
        if not inside:
            raise ConfigError(f"{path}: there is no recording (*.nwb) in this folder: name one that has some")
        found += inside
    return list(dict.fromkeys(found))


def report_on(paths: Sequence[Path], *, on_progress: Callable[[float], None] | None = None) -> Report:
    """Measure sessions and compare them; with more than six, each is measured for the comparison only.

    Raises
    ------
    ConfigError
        Where there is nothing to report on.
    RecordingError
        Where a file cannot be read.
    """
    sessions = [_told(path, on_progress, k / len(paths)) for k, path in enumerate(paths)]
    full = sessions if len(sessions) <= MOST_IN_FULL else []
    return Report(
        comparison.measure(sessions),
        learning.panel(sessions),
        [_session(session) for session in full],
        len(sessions) - len(full),
    )


def _told(path: Path, on_progress: Callable[[float], None] | None, share: float) -> Material:
    session = material(path)
    if not len(session.decisions):
        raise ConfigError(f"{path}: no decision was recorded, so there is nothing to report")
    if on_progress:
        on_progress(share)
    return session


def _session(session: Material) -> SessionReport:
    return SessionReport(
        str(session.path),
        headline.measure(session),
        methods.paragraphs(session),
        methods.parameters(session),
        [make(session) for make in PANELS],
    )


def write(report: Report, wanted: Wanted, *, replace: bool = False) -> list[str]:
    """Write the page, and figures and CSV where they are wanted; return the files.

    Raises
    ------
    ConfigError
        Where a file exists and is not to be replaced, or cannot be written.
    """
    require_free([wanted.out], replace=replace)
    files = [str(wanted.out)]
    try:
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
        with whole(wanted.out) as part:
            part.write_text(html(report), encoding="utf-8")
        if wanted.figures:
            files += _write_figures(report, wanted.figures)
        if wanted.csv:
            files += _write_csv(report, wanted.csv)
    except OSError as error:
        raise ConfigError(f"{error.filename or wanted.out}: cannot be written: {error.strerror or error}") from error
    return files


def html(report: Report) -> str:
    """Return the page."""
    names = [session.headline for session in report.sessions]
    title = f"{names[0].task}, {names[0].condition}" if len(names) == 1 else "Sessions compared"
    return page.page(f"Wetloop report: {title}", _parts(report, title))


def _parts(report: Report, title: str) -> Iterator[Html]:
    yield page.heading(title, 1)
    if len(report.sessions) != 1:
        yield from _compared(report)
    for number, session in enumerate(report.sessions, start=1):
        yield from _shown(session, report, number)
    if report.left_out:
        yield page.sentence(
            f"More than {MOST_IN_FULL} sessions are compared only: make a report of one of them to see its figures."
        )


def _compared(report: Report) -> Iterator[Html]:
    told = report.comparison
    yield page.sentence(
        f"{len(told.sessions['file'])} sessions by condition. Plain descriptive numbers: no test, no claim.", dim=True
    )
    yield page.heading("Conditions")
    yield page.table(told.conditions)
    yield page.figures([report.learning])
    yield page.heading("Sessions")
    yield page.table(told.sessions)


def _shown(session: SessionReport, report: Report, number: int) -> Iterator[Html]:
    alone, told = len(report.sessions) == 1, session.headline
    if not alone:
        yield page.heading(f"Session {number}: {told.task}, {told.condition}")
    yield page.sentence(f"{session.file}, {told.identifier}", dim=True)
    yield page.facts(_cards(told))
    yield page.heading("Deviations", 2 if alone else 3)
    yield page.warnings(
        told.deviations["deviation"].tolist(),
        "None: the session ran to its end; no sample was lost, no decision late, no pulse refused, no alarm raised.",
    )
    if len(told.subject["name"]):
        yield page.heading("Culture", 2 if alone else 3)
        yield page.table(told.subject)
    if alone:
        yield page.heading(
            f"Performance in T1 and T2 (before and after {report.comparison.sessions['split_s'][0] / 60:.3g} min)"
        )
        yield page.table(comparison.t1_and_t2(report.comparison))
    yield page.heading("Figures", 2 if alone else 3)
    yield page.figures([*([report.learning] if alone else []), *session.panels])
    yield page.heading("Methods", 2 if alone else 3)
    yield page.prose(session.methods)
    yield page.heading("Every parameter", 2 if alone else 3)
    yield page.parameters(session.parameters)


def _cards(told: HeadlineNumbers) -> dict[str, str]:
    started = datetime.fromisoformat(told.session_start)
    return {
        "when": f"{started:%Y-%m-%d %H:%M:%S %Z}",
        "condition": told.condition,
        "rig": f"{told.rig}, {told.electrodes} electrodes, {told.sampling_frequency_hz:g} Hz",
        "how it ended": told.ended,
        "length": f"{told.duration_s / 60:.4g} min, {told.minutes_in_play:.3g} in play",
        "episodes": page.worded(told.episodes),
        "spikes": f"{page.worded(told.spikes)} ({told.mean_rate_hz:.3g} Hz per electrode)",
        "pulses delivered": page.worded(told.pulses_delivered),
        "decisions": f"{page.worded(told.decisions)}, {page.worded(told.late_decisions)} late",
        "samples lost": page.worded(told.lost_samples),
        "seed": str(told.seed),
    }


def _write_figures(report: Report, folder: Path) -> list[str]:
    files: list[str] = []
    for place, panels in _folders(report, folder):
        place.mkdir(parents=True, exist_ok=True)
        for panel in panels:
            files += [] if panel.empty else write_files(panel, place)
    return files


def _folders(report: Report, folder: Path) -> Iterator[tuple[Path, list[Panel]]]:
    yield folder, [report.learning]
    for number, session in enumerate(report.sessions, start=1):
        yield _folder(report, folder, number), session.panels


def _folder(report: Report, folder: Path, number: int) -> Path:
    return folder if len(report.sessions) == 1 else folder / f"session{number}"


def _write_csv(report: Report, folder: Path) -> list[str]:
    files = _write_numbers(folder, {"comparison": report.comparison, "learning": report.learning.numbers}, "compared")
    for number, session in enumerate(report.sessions, start=1):
        place = _folder(report, folder, number)
        files += _write_numbers(place, session.named(), "facts")
        files.append(str(place / "parameters.csv"))
        write_table(place / "parameters.csv", session.parameters)
    return files


def _write_numbers(folder: Path, named: dict[str, Numbers], facts_name: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{facts_name}.csv"]
    write_facts(paths[0], {name: numbers.facts() for name, numbers in named.items()})
    for name, numbers in named.items():
        for table, columns in numbers.tables().items():
            paths.append(folder / f"{name}-{table}.csv")
            write_table(paths[-1], columns)
    return [str(path) for path in paths]
