"""``wetloop recover``: a whole recording from what is left of one."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping


def recover(
    file: Annotated[Path, typer.Argument(help="Recording (NWB) that was cut off or damaged; its journal lies beside.")],
    *,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FILE", help="New file; by default NAME.recovered.nwb.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Make a whole recording from a damaged one; what is there is never changed, what is lost is told.

    Exit code 0: the file was whole already, or the new one is; 5: nothing could be recovered.
    """
    from wetloop.cli.output import echo_json, outline, show
    from wetloop.cli.progress import share_view
    from wetloop.recording.recover import recover as recover_file

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as after Ctrl-C
    try:
        with share_view(quiet=json) as on_progress:
            report = recover_file(file, into, on_progress)
    finally:
        signal.signal(signal.SIGTERM, before)
    if json:
        echo_json(report.to_dict())
    elif report.whole:
        show(f"{file} is complete and readable: nothing to do")
    else:
        told = report.to_dict() | {"lost": [_lost(loss) for loss in report.lost] or ["nothing"]}
        show(outline({name: value for name, value in told.items() if not isinstance(value, list)}))
        for name in ("lost", "notes"):
            show(f"{name}:", *(f"  {line}" for line in told[name] or ["none"]))


def _lost(loss: "Mapping[str, Any]") -> str:
    """Say what is missing, and when."""
    stop = "on" if loss["to_s"] is None else f"to {loss['to_s']:g} s"
    return f"{loss['what']} from {loss['from_s']:g} s {stop}"
