"""Writes tables of a recording into a folder, with a page that tells their columns and units."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core.errors import ConfigError
from wetloop.recording.flat import flattened
from wetloop.recording.formats import Format, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from wetloop.recording.opened import OpenRecording
    from wetloop.recording.view import TableView

TABLES = ("spikes", "pulses", "decisions", "episodes", "blocks")
COLUMNS_FILE = "columns.json"


class Wanted(NamedTuple):
    """Which tables, in which format, and the half-open window of the rig's clock, s."""

    tables: tuple[str, ...] = TABLES
    format: Format = "csv"
    start_s: float = -math.inf
    stop_s: float = math.inf


@dataclass(frozen=True)
class Exported:
    """What was written: the files, and the rows of each table."""

    files: list[str]
    rows: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return asdict(self)


def export_tables(
    opened: OpenRecording,
    folder: Path,
    wanted: Wanted,
    *,
    replace: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Exported:
    """Write one file per table, and ``columns.json`` with the description, unit and type of every column.

    Codes are written as words, components of actions and observations as columns of their own. The files are
    written batch by batch: memory does not grow with the recording.

    Parameters
    ----------
    opened
        The recording.
    folder
        Made where there is none.
    wanted
        What to write.
    replace
        Whether files that exist are replaced.
    on_progress
        Called with the share done, 0 to 1.

    Raises
    ------
    ConfigError
        Where a table is unknown, a file exists and is not to be replaced, or what writes Parquet is not installed.
    """
    write = writer(wanted.format)
    views = _views(opened, wanted)
    paths = {name: folder / f"{name}.{wanted.format}" for name in views}
    page = folder / COLUMNS_FILE
    require_free([*paths.values(), page], replace=replace)
    on_rows = _counting(sum(map(len, views.values())), on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    for name, view in views.items():
        with whole(paths[name]) as part:
            write(part, view, flattened(view.columns.values()), on_rows)
    with whole(page) as part:
        part.write_text(json.dumps(_page(opened, views), indent=1) + "\n", encoding="utf-8")
    return Exported([str(path) for path in (*paths.values(), page)], {name: len(view) for name, view in views.items()})


def require_free(paths: Iterable[Path], *, replace: bool) -> None:
    """Refuse files that exist, unless they are to be replaced."""
    taken = [str(path) for path in paths if path.exists()]
    if taken and not replace:
        raise ConfigError(f"{', '.join(taken)} exists and is not replaced: choose another place, or say --force")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give another name to write under, so that no half-written file bears the right one."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _views(opened: OpenRecording, wanted: Wanted) -> dict[str, TableView]:
    unknown = [name for name in wanted.tables if name not in TABLES]
    if unknown or not wanted.tables:
        raise ConfigError(f"there is no table {', '.join(unknown) or 'asked for'}: take some of {', '.join(TABLES)}")
    if wanted.start_s >= wanted.stop_s:
        raise ConfigError(f"nothing lies between {wanted.start_s:g} and {wanted.stop_s:g} s: change --from and --to-s")
    views: dict[str, TableView] = {name: getattr(opened, name) for name in wanted.tables}
    if math.isinf(wanted.start_s) and math.isinf(wanted.stop_s):
        return views
    return {name: view.between(wanted.start_s, wanted.stop_s) for name, view in views.items()}


def _counting(total: int, on_progress: Callable[[float], None] | None) -> Callable[[int], None]:
    done = 0

    def on_rows(n_rows: int) -> None:
        nonlocal done
        done += n_rows
        if on_progress:
            on_progress(done / total)

    return on_rows


def _page(opened: OpenRecording, views: Mapping[str, TableView]) -> dict[str, Any]:
    """Return what the tables hold, for people and programs that read them without Wetloop."""
    header = opened.recording.header
    tables = {
        name: {
            "rows": len(view),
            "columns": [
                {"name": column.name, "unit": column.unit, "dtype": column.kind, "description": column.description}
                for column in flattened(view.columns.values())
            ],
        }
        for name, view in views.items()
    }
    return {
        "recording": opened.path.name,
        **{name: header[name] for name in ("identifier", "session_start", "condition", "seed")},
        "sampling_frequency_hz": opened.info.sampling_frequency,
        "tables": tables,
    }
