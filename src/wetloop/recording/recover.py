"""Makes a whole recording from what is left of one: from its journal, or from the file where that has more.

The damaged files are read and never changed; the new one goes through the same ``Writer`` as any recording, and tells
what it was made from and what is lost.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wetloop.core.errors import RecordingError
from wetloop.recording.journal import journal_path
from wetloop.recording.meter import part_of
from wetloop.recording.rebuild import RecoverReport, rebuild
from wetloop.recording.salvage import examine
from wetloop.recording.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wetloop.recording.survey import Survey

EXAMINED = 0.5
"""Share of the work that is done when the damaged files have been read."""


def recover(path: Path, into: Path | None = None, on_progress: Callable[[float], None] | None = None) -> RecoverReport:
    """Recover a recording into a new file, by default ``NAME.recovered.nwb`` beside it; a whole one is left as it is.

    The new file has its name only once it is whole. Chunks of raw samples are copied as they are stored.

    Parameters
    ----------
    path
        The recording, or its journal.
    into
        The new file.
    on_progress
        Called with the share done, 0 to 1.

    Raises
    ------
    RecordingError
        Where the session still runs, the new file exists already, there is no room for it, or nothing is left that
        could be recovered.
    """
    path = path.with_name(path.name.removesuffix(".journal"))
    into = path.with_name(f"{path.stem}.recovered.nwb") if into is None else into
    if into.exists():
        raise RecordingError(f"{into}: a file of this name exists; recordings are never overwritten")
    journal = survey(journal_path(path)) if journal_path(path).exists() else None
    if journal is None and not path.exists():
        raise RecordingError(f"{path}: there is no such file, and no journal of it")
    with _workshop(into.parent) as folder:
        remains = folder / "remains.journal"
        verdict = examine(path, remains, part_of(on_progress, 0.0, EXAMINED))
        if verdict.whole:
            return RecoverReport(str(path), whole=True)
        salvaged = survey(remains) if remains.exists() else None
        sources = [s for s in (journal, salvaged) if s is not None and s.opening is not None]
        if not sources:
            raise RecordingError(
                f"{path}: nothing can be recovered, for there is no readable journal beside it: "
                f"{'; '.join(verdict.faults)}"
            )
        _require_room(into, sources)
        report = rebuild(sources, path, folder / into.name, verdict.faults, part_of(on_progress, EXAMINED, 1.0))
        (folder / into.name).rename(into)
    return replace(report, recovered=str(into))


@contextlib.contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """Give a folder on the disk of the new file, gone when the work is done or has failed."""
    try:
        made = tempfile.TemporaryDirectory(prefix=".wetloop-recover-", dir=folder)
    except OSError as error:
        raise RecordingError(f"{folder}: {error.strerror}; say --into FILE in a folder that can be written") from error
    with made as name:
        yield Path(name)


def _require_room(into: Path, sources: Sequence[Survey]) -> None:
    """Refuse where the new file might not fit; what it takes is estimated from above."""
    needed_mb = sum(source.size + source.chunk_bytes for source in sources) / 1e6
    free_mb = shutil.disk_usage(into.parent).free / 1e6
    if free_mb < needed_mb:
        raise RecordingError(
            f"{into}: about {needed_mb:.0f} MB are needed, {free_mb:.0f} MB are free: make room, or say --into FILE on "
            "another disk"
        )
