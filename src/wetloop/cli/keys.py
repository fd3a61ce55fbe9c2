"""``wetloop keys``: keys for a server that is reached from other machines."""

from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(name="keys", help="Keys of a server and its clients.", no_args_is_help=True)


@keys.callback()
def about() -> None:
    """Keys of a server and its clients."""


@keys.command()
def new(folder: Annotated[Path, typer.Argument(help="Folder of the new keys.")]) -> None:
    """Make one pair for the rig (server), one for each role of a client (view, control), and one for remote programs.

    Give a client server.public and both files of its role; whoever holds control.secret can run anything on the server.
    Give a program that is a task server.public and both files of remote.
    """
    from wetloop.net.keys import new_keys

    for path in new_keys(folder):
        typer.echo(str(path))
