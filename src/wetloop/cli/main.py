"""The ``wetloop`` command: maps every refusal to one readable paragraph and an exit code."""

import sys
from collections.abc import Sequence

from wetloop.engine.halt import silence_at_once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        What stands after ``wetloop``; by default those of the process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    arguments = [argument for argument in given if argument != "--debug"]
    debug = len(arguments) < len(given)
    _silence_first(arguments)
    from wetloop.cli.app import app
    from wetloop.core.errors import WetloopError

    try:
        app(arguments, prog_name="wetloop")
    except SystemExit as done:
        return int(done.code or 0)
    except WetloopError as error:
        _complain(str(error), debug=debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  (the last resort: one line instead of a traceback)
        hint = "" if debug else "\nThis is a bug in Wetloop or in a plug-in; --debug shows where."
        _complain(f"unexpected {type(error).__name__}: {error}{hint}", debug=debug)
        return 1
    return 0


def _silence_first(arguments: Sequence[str]) -> None:
    """Have ``stop --now`` silence the rig before the commands are loaded; the command itself does the rest."""
    if arguments[:1] == ["stop"] and "--now" in arguments and "--help" not in arguments:
        silence_at_once([argument for argument in arguments[1:] if not argument.startswith("-")])


def _complain(message: str, *, debug: bool) -> None:
    import traceback

    import typer

    if debug:
        traceback.print_exc()
    typer.echo(f"wetloop: {message}", err=True)
