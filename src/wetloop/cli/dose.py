"""``wetloop dose``: what a culture was given over its life."""

from pathlib import Path
from typing import Annotated

import typer

MOST_SHOWN = 8


def dose(
    culture_id: Annotated[str, typer.Argument(help="Name of the culture, as in subject.culture_id.")],
    *,
    ledger: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of ledgers, as in care.ledger.")],
    add: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Account for this recording first, as of a killed session.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Show pulses, charge per electrode and hours over all sessions of a culture. Exit code 1 if one is unaccounted."""
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.render import facts
    from wetloop.core.errors import ConfigError
    from wetloop.recording.dose import Ledger

    book = Ledger(ledger, culture_id)
    if not book.path.exists():
        raise ConfigError(f"{book.path}: no ledger of culture {culture_id} there")
    if add is not None:
        book.add(add)
    found = book.dose()
    if json:
        echo_json(found.to_dict())
    else:
        most = sorted(found.charge_nc.items(), key=lambda item: -item[1])[:MOST_SHOWN]
        told = {
            "sessions": found.sessions,
            "hours": found.hours,
            "pulses": found.pulses,
            "most charge": [f"electrode {name} {nc:.4g} nC" for name, nc in most],
            "not accounted for": found.unaccounted,
        }
        show(facts(f"Culture {culture_id}", told))
    raise typer.Exit(1 if found.unaccounted else 0)
