"""The ``wetloop`` command: maps every refusal to one readable paragraph and an exit code."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from wetloop import __version__
from wetloop.cli.compare import compare
from wetloop.cli.ctl import ctl
from wetloop.cli.culture import culture
from wetloop.cli.doctor import doctor
from wetloop.cli.drivers import drivers
from wetloop.cli.encode_preview import encode_preview
from wetloop.cli.export import export
from wetloop.cli.fit_decoder import fit_decoder
from wetloop.cli.inspect import inspect
from wetloop.cli.keys import keys
from wetloop.cli.new_config import new_config
from wetloop.cli.recover import recover
from wetloop.cli.replay import replay
from wetloop.cli.run import run
from wetloop.cli.serve import serve
from wetloop.cli.stop import stop
from wetloop.cli.view import view
from wetloop.core.errors import WetloopError

EPILOG = (
    "Exit codes: 0 done, 1 the answer is no, 2 bad usage or configuration, 3 rig or driver failed, "
    "4 guard tripped, 5 recording failed, 130 interrupted (file closed properly)."
)

app = typer.Typer(
    name="wetloop",
    help="Closed-loop control server for cultured neurons on a microelectrode array.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(replay)
app.command()(view)
app.command()(inspect)
app.command()(export)
app.command()(compare)
app.command("fit-decoder")(fit_decoder)
app.command()(recover)
app.command("new-config")(new_config)
app.command()(drivers)
app.command()(doctor)
app.command("encode-preview")(encode_preview)
app.command()(serve)
app.add_typer(ctl)
app.add_typer(culture)
app.command()(stop)
app.add_typer(keys)


def _show_version(value: bool) -> None:  # noqa: FBT001  (typer's signature of an option callback)
    if value:
        typer.echo(f"wetloop {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Closed-loop control server for cultured neurons on a microelectrode array."""
    _ = version, debug


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


def _complain(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"wetloop: {message}", err=True)
