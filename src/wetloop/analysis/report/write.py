"""Writes a report: the page, its figures as files, its numbers as CSV."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from wetloop.analysis.report import comparison, page, verdict
from wetloop.analysis.report.build import MOST_IN_FULL
from wetloop.analysis.report.numbers import worded, write_facts, write_table
from wetloop.analysis.report.style import write_files
from wetloop.core.errors import ConfigError
from wetloop.recording.export import require_free, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wetloop.analysis.report.build import Report, SessionReport
    from wetloop.analysis.report.headline import HeadlineNumbers
    from wetloop.analysis.report.numbers import Numbers
    from wetloop.analysis.report.page import Html
    from wetloop.analysis.report.style import Panel
    from wetloop.analysis.report.verdict import VerdictNumbers

AS_PLANNED = (
    "None: the session ran to its end; no sample was lost, no decision late, no pulse refused, no alarm raised."
)


class Wanted(NamedTuple):
    """What is to be written: the page, and folders for figures and CSV where they are wanted."""

    out: Path
    figures: Path | None = None
    csv: Path | None = None


def write(report: Report, wanted: Wanted, *, replace: bool = False) -> list[str]:
    """Write the page, and figures and CSV where they are wanted; return the files.

    Raises
    ------
    ConfigError
        Where the page exists and is not to be replaced, or something cannot be written.
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
    title = _title(report)
    return page.page(f"Wetloop report: {title}", _parts(report, title))


def _title(report: Report) -> str:
    if report.verdict:
        return f"Experiment {report.verdict.name}"
    told = [session.headline for session in report.sessions]
    return f"{told[0].task}, {told[0].condition}" if len(told) == 1 else "Sessions compared"


def _parts(report: Report, title: str) -> Iterator[Html]:
    yield page.heading(title, 1)
    if report.verdict:
        yield from _said(report.verdict)
    if _several(report):
        yield from _compared(report)
    for number, session in enumerate(report.sessions, start=1):
        yield from _shown(session, report, number)
    if report.left_out:
        yield page.sentence(
            f"More than {MOST_IN_FULL} sessions are compared only: make a report of one of them to see its figures."
        )


def _several(report: Report) -> bool:
    return report.verdict is not None or len(report.sessions) != 1


def _said(told: VerdictNumbers) -> Iterator[Html]:
    yield page.sentence(f"Registered {told.registered} before the first run, SHA-256 {told.sha256}.", dim=True)
    yield page.heading("Who learns")
    yield page.sentence(told.verdict)
    yield page.table(verdict.who_learns(told))
    yield page.sentence(
        f"{told.reference} against every other arm: difference of the changes (late less early) of {told.primary}, "
        f"over cultures. The claim is tested against {told.control} alone, at alpha {worded(told.alpha)}; all other p "
        "values are exploratory and corrected after Holm.",
        dim=True,
    )
    yield page.figures([verdict.panel(told)])
    yield page.heading("To be known")
    if verdict.DEVIATES not in told.notes["about"]:
        yield page.sentence("Nothing differs from what was registered.")
    yield page.table(told.notes)
    if len(told.published["arm"]):
        yield page.heading("Beside published numbers")
        yield page.table(told.published)
    yield page.heading("Every arm and metric")
    yield page.table(told.arms)


def _compared(report: Report) -> Iterator[Html]:
    told = report.comparison
    yield page.heading("Conditions")
    yield page.sentence(
        f"Means over sessions (standard deviation in brackets), {len(told.sessions['file'])} sessions in all; T1 ends "
        f"after {worded(float(told.sessions['split_s'].max()) / 60)} min. Plain "
        "descriptive numbers: no test, no claim.",
        dim=True,
    )
    yield page.table(comparison.side_by_side(told))
    yield page.figures([report.learning])
    yield page.heading("Sessions")
    yield page.table(told.sessions)


def _shown(session: SessionReport, report: Report, number: int) -> Iterator[Html]:
    several, told = _several(report), session.headline
    level = 3 if several else 2
    if several:
        yield page.heading(f"Session {number}: {told.task}, {told.condition}")
    yield page.sentence(f"{session.file}, {told.identifier}", dim=True)
    yield page.facts(_cards(told))
    yield page.heading("Deviations", level)
    yield page.warnings(told.deviations["deviation"].tolist(), AS_PLANNED)
    if len(told.subject["name"]):
        yield page.heading("Culture", level)
        yield page.table(told.subject)
    if not several:
        split_min = report.comparison.sessions["split_s"][0] / 60
        yield page.heading(f"Performance in T1 and T2 (before and after {worded(split_min)} min)", level)
        yield page.table(comparison.t1_and_t2(report.comparison))
    yield page.heading("Figures", level)
    yield page.figures([*([] if several else [report.learning]), *session.panels])
    yield page.heading("Methods", level)
    yield page.prose(session.methods)
    yield page.heading("Every parameter", level)
    yield page.parameters(session.parameters)


def _cards(told: HeadlineNumbers) -> dict[str, str]:
    started = datetime.fromisoformat(told.session_start)
    return {
        "when": f"{started:%Y-%m-%d %H:%M:%S %Z}",
        "condition": told.condition,
        "rig": f"{told.rig}, {told.electrodes} electrodes, {told.sampling_frequency_hz:g} Hz",
        "how it ended": told.ended,
        "length": f"{worded(told.duration_s / 60)} min, {worded(told.minutes_in_play)} in play",
        "episodes": worded(told.episodes),
        "spikes": f"{worded(told.spikes)} ({worded(told.mean_rate_hz)} Hz per electrode)",
        "pulses delivered": worded(told.pulses_delivered),
        "decisions": f"{worded(told.decisions)}, {worded(told.late_decisions)} late",
        "samples lost": worded(told.lost_samples),
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
    yield folder, [*([verdict.panel(report.verdict)] if report.verdict else []), report.learning]
    for number, session in enumerate(report.sessions, start=1):
        yield _folder(report, folder, number), session.panels


def _folder(report: Report, folder: Path, number: int) -> Path:
    return folder if len(report.sessions) == 1 else folder / f"session{number}"


def _write_csv(report: Report, folder: Path) -> list[str]:
    files = _write_numbers(folder, report.compared(), "compared")
    for number, session in enumerate(report.sessions, start=1):
        place = _folder(report, folder, number)
        files += [*_write_numbers(place, session.named(), "facts"), str(place / "parameters.csv")]
        write_table(place / "parameters.csv", session.parameters)
    return files


def _write_numbers(folder: Path, named: Mapping[str, Numbers], facts_name: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{facts_name}.csv"]
    write_facts(paths[0], {name: numbers.facts() for name, numbers in named.items()})
    for name, numbers in named.items():
        for table, columns in numbers.tables().items():
            paths.append(folder / f"{name}-{table}.csv")
            write_table(paths[-1], columns)
    return [str(path) for path in paths]
