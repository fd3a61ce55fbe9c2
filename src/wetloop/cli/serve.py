"""``wetloop serve``: own one rig, and do what clients ask."""

from contextlib import ExitStack
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
    web: Annotated[bool, typer.Option("--web", help="Serve the live view as a web page, too.")] = False,
    web_host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to serve the page on; others than 127.0.0.1 are reachable.")
    ] = "127.0.0.1",
    web_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any.")] = 8050,
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
    from wetloop.cli.page_process import page_of
    from wetloop.server.server import ServerOptions
    from wetloop.server.server import serve as serve_rig

    with ExitStack() as stack:

        def on_ready(info: dict[str, Any]) -> None:
            page = page_of(Path(info["folder"]), web_host, web_port) if web else None
            _tell(info if page is None else info | {"view": stack.enter_context(page)}, json=json)

        serve_rig(ServerOptions(rig, control, telemetry, keys, state, arm, resume_queue), on_ready)


def _tell(info: dict[str, Any], *, json: bool) -> None:
    from wetloop.cli.output import echo_json

    if json:
        echo_json(info)
        return
    typer.echo(f"rig {info['rig']}: control {info['control']}, telemetry {info['telemetry']}", err=True)
    if "view" in info:
        typer.echo(f"page {info['view']}", err=True)
