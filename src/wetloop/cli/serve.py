"""``wetloop serve``: own one rig, and do what clients ask."""

from pathlib import Path
from typing import Annotated, Any

import typer


def serve(  # noqa: PLR0913  (typer: one parameter per option)
    rig: Annotated[Path, typer.Argument(help="Configuration (YAML) of the rig, and of what it plays by default.")],
    *,
    control: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where commands are taken; port 0 takes any that is free.")
    ] = "tcp://127.0.0.1:5601",
    telemetry: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where telemetry is published.")
    ] = "tcp://127.0.0.1:5602",
    keys: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keys (wetloop keys); needed beyond this machine.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where state, locks and log lie; by default the user's own.")
    ] = None,
    arm: Annotated[bool, typer.Option("--arm", help="Arm a disarmed rig at once; never one that has tripped.")] = False,
    resume_queue: Annotated[
        bool, typer.Option("--resume-queue", help="Go on with the queue of the server before; else it is held.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the addresses as one JSON object.")] = False,
) -> None:
    """Serve a rig: start, pause, resume and stop sessions, and publish what happens.

    Ctrl-C ends the session and the server; twice, or SIGTERM, silences the rig at once. A session outlives a server
    that is killed, and the next one takes it over.
    """
    from wetloop.cli.output import echo_json
    from wetloop.server.server import ServerOptions
    from wetloop.server.server import serve as serve_rig

    def on_ready(info: dict[str, Any]) -> None:
        if json:
            echo_json(info)
        else:
            typer.echo(f"rig {info['rig']}: control {info['control']}, telemetry {info['telemetry']}", err=True)

    serve_rig(ServerOptions(rig, control, telemetry, keys, state, arm, resume_queue), on_ready)
