"""``wetloop report``: sessions as one page of figures, tables and methods, with every number."""

from pathlib import Path
from typing import Annotated, Any

import typer


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="Recordings (NWB) or folders of them, or the folder of an experiment."),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="PAGE.html", help="The page to write.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for each figure, PNG and SVG.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for every number as CSV.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every number as one JSON object.")] = False,
) -> None:
    """Report on sessions: one HTML page that needs no other file and no network.

    Several sessions are compared by condition; of an experiment, the first table tells who learns. Each number of the
    page is in its CSV table and in --json too.
    """
    from wetloop.analysis.report.build import report_on, subject_of
    from wetloop.analysis.report.write import Wanted, write
    from wetloop.cli.progress import share_view
    from wetloop.recording.export import require_free

    require_free([out], replace=force)
    with share_view(quiet=json) as on_progress:
        made = report_on(subject_of(paths), on_progress=on_progress)
        files = write(made, Wanted(out, figures, csv), replace=force)
    _print({"report": str(out), "files": files}, made.to_dict(), json=json)


def _print(result: dict[str, Any], numbers: dict[str, Any], *, json: bool) -> None:
    from wetloop.cli.output import echo_json, outline, show

    if json:
        echo_json(result | numbers)
    else:
        more = len(result["files"]) - 1
        show(outline({"report": result["report"], **({"other files": more} if more else {})}))
