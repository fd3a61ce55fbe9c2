"""``wetloop inspect``: what is in a recording."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    trust: Annotated[
        bool, typer.Option("--trust", help="Follow links out of the file, and believe the sizes that it declares.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """Show what is in a recording, or what is wrong with it.

    The file is read in a process of its own: one that is damaged or made to do harm cannot do more than be refused.
    """
    from wetloop.cli.output import echo_json, outline, show
    from wetloop.recording.examiner import Examiner

    with Examiner() as examiner:
        found = examiner.examine(file, trusted=trust)
    if json:
        echo_json(found)
    else:
        show(outline(found))
