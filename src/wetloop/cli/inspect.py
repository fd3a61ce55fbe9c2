"""``wetloop inspect``: what is in a recording."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """Show what is in a recording."""
    from wetloop.cli.output import echo_json, outline, show
    from wetloop.recording.describe import describe

    found = describe(file)
    if json:
        echo_json(found)
    else:
        show(outline(found))
