"""The commands and what they are called."""

from typing import Annotated

import typer

from wetloop import __version__
from wetloop.cli.compare import compare
from wetloop.cli.ctl import ctl
from wetloop.cli.culture import culture
from wetloop.cli.doctor import doctor
from wetloop.cli.dose import dose
from wetloop.cli.drivers import drivers
from wetloop.cli.emulate import emulate
from wetloop.cli.encode_preview import encode_preview
from wetloop.cli.experiment import experiment
from wetloop.cli.export import export
from wetloop.cli.fit_decoder import fit_decoder
from wetloop.cli.inspect import inspect
from wetloop.cli.keys import keys
from wetloop.cli.new_config import new_config
from wetloop.cli.publish_lsl import publish_lsl
from wetloop.cli.recover import recover
from wetloop.cli.replay import replay
from wetloop.cli.report import report
from wetloop.cli.run import run
from wetloop.cli.serve import serve
from wetloop.cli.stop import stop
from wetloop.cli.view import view

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
app.command()(report)
app.command()(experiment)
app.command("fit-decoder")(fit_decoder)
app.command()(recover)
app.command()(dose)
app.command("new-config")(new_config)
app.command()(drivers)
app.command()(doctor)
app.command()(emulate)
app.command("encode-preview")(encode_preview)
app.command()(serve)
app.add_typer(ctl)
app.add_typer(culture)
app.command("publish-lsl")(publish_lsl)
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
