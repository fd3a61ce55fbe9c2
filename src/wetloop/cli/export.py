"""``wetloop export``: tables of a recording for other programs, or a small copy without raw samples."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from wetloop.recording.export import Wanted

TABLES = "spikes,pulses,decisions,episodes,blocks"


def export(  # noqa: PLR0913  (typer: one parameter per option)
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for one file per table.")] = None,
    kind: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="Format of the tables.")] = "csv",
    tables: Annotated[str, typer.Option(help="Tables to write, with commas between.")] = TABLES,
    start_s: Annotated[
        float | None, typer.Option("--from", metavar="S", help="Start of the window on the rig's clock, s.")
    ] = None,
    stop_s: Annotated[float | None, typer.Option("--to-s", metavar="S", help="End of the window, s.")] = None,
    spikes_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.nwb", help="Copy the recording without raw samples and pictures; it can be replayed."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Write tables of a recording as CSV or Parquet, or copy it without raw samples.

    Beside the tables, columns.json tells the description, unit and type of every column.
    """
    from wetloop.cli.progress import share_view

    if not (to or spikes_only):
        raise typer.BadParameter("say where to: --to DIR for tables, --spikes-only OUT.nwb for a small copy")
    if not to and (start_s is not None or stop_s is not None):
        raise typer.BadParameter("--from and --to-s belong to --to DIR: a copy is of the whole recording")
    result: dict[str, Any] = {"recording": str(file)}
    with share_view(quiet=json) as report:
        if to:
            result |= _tables(file, to, _wanted(tables, kind, start_s, stop_s), replace=force, report=report)
        if spikes_only:
            result |= _copy(file, spikes_only, replace=force, report=report)
    _print(result, json=json)


def _wanted(tables: str, kind: Literal["csv", "parquet"], start_s: float | None, stop_s: float | None) -> "Wanted":
    from wetloop.recording.export import Wanted

    names = tuple(dict.fromkeys(name.strip() for name in tables.split(",") if name.strip()))
    first_s, last_s = -math.inf if start_s is None else start_s, math.inf if stop_s is None else stop_s
    return Wanted(names, kind, first_s, last_s)


def _tables(
    file: Path, folder: Path, wanted: "Wanted", *, replace: bool, report: "Callable[[float], None] | None"
) -> dict[str, Any]:
    from wetloop.recording.export import export_tables
    from wetloop.recording.opened import OpenRecording

    with OpenRecording(file) as opened:
        return export_tables(opened, folder, wanted, replace=replace, on_progress=report).to_dict()


def _copy(file: Path, out: Path, *, replace: bool, report: "Callable[[float], None] | None") -> dict[str, Any]:
    from wetloop.recording.spikes_only import write_spikes_only

    return {"copy": str(out), "copy_bytes": write_spikes_only(file, out, replace=replace, on_progress=report)}


def _print(result: dict[str, Any], *, json: bool) -> None:
    from wetloop.cli.output import echo_json, outline, show

    if json:
        echo_json(result)
    else:
        show(outline(result))
