"""``wetloop ctl``: ask a rig's server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wetloop.server.client import Client

ctl = typer.Typer(name="ctl", help="Ask a rig's server (wetloop serve).", no_args_is_help=True)

Why = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record.")]
Config = Annotated[str | None, typer.Argument(help="Configuration on the server's machine; by default the rig's own.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value; repeatable.")]


@ctl.callback()
def connection(
    context: typer.Context,
    *,
    server: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The server's control address.")
    ] = "tcp://127.0.0.1:5601",
    keys: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder of keys.")] = None,
    role: Annotated[str, typer.Option(help="Whose key is used: control or view.")] = "control",
    who: Annotated[str | None, typer.Option(help="Who asks, for the record; by default the user's name.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")] = False,
) -> None:
    """Ask a rig's server."""
    context.obj = {"address": server, "keys": keys, "role": role, "who": who}, json


def _ask(context: typer.Context, command: str, **body: Any) -> None:
    from wetloop.cli.output import echo_json, outline, show

    options, json = context.obj
    with _client(**options) as client:
        answer = client.request(command, **body)
    if json:
        echo_json(answer)
    else:
        show(outline(answer))


def _client(address: str, **options: Any) -> "Client":
    from wetloop.core.errors import ConfigError
    from wetloop.net.keys import ROLES
    from wetloop.server.client import Client

    if options["role"] not in ROLES:
        raise ConfigError(f"--role {options['role']}: there are {' and '.join(ROLES)}")
    return Client(address, **options)


@ctl.command()
def status(context: typer.Context) -> None:
    """Tell how things stand."""
    _ask(context, "status")


@ctl.command()
def info(context: typer.Context) -> None:
    """Tell rig, addresses and topics."""
    _ask(context, "info")


@ctl.command()
def start(context: typer.Context, config: Config = None, *, overrides: Overrides = None, why: Why = "") -> None:
    """Start a session on an armed rig."""
    _ask(context, "start", config=config, overrides=overrides or [], why=why)


@ctl.command()
def pause(context: typer.Context, why: Why = "") -> None:
    """Stop stimulating and hold the task; the recording goes on."""
    _ask(context, "pause", why=why)


@ctl.command()
def resume(context: typer.Context, why: Why = "") -> None:
    """Go on after a pause."""
    _ask(context, "resume", why=why)


@ctl.command()
def stop(
    context: typer.Context,
    why: Why = "",
    *,
    now: Annotated[bool, typer.Option("--now", help="Silence the rig first of all; it has to be armed again.")] = False,
) -> None:
    """End the session with a complete file."""
    _ask(context, "stop_now" if now else "stop", why=why)


@ctl.command()
def arm(context: typer.Context, why: Why = "") -> None:
    """Allow sessions, after a trip too."""
    _ask(context, "arm", why=why)


@ctl.command()
def disarm(context: typer.Context, why: Why = "") -> None:
    """Allow no session."""
    _ask(context, "disarm", why=why)


@ctl.command()
def shutdown(context: typer.Context, why: Why = "") -> None:
    """End the session, then the server."""
    _ask(context, "shutdown", why=why)


queue = typer.Typer(name="queue", help="What is played after the session that runs.", no_args_is_help=True)
ctl.add_typer(queue)


@queue.command()
def add(context: typer.Context, config: Config = None, *, overrides: Overrides = None, why: Why = "") -> None:
    """Play this after everything else."""
    _ask(context, "queue_add", config=config, overrides=overrides or [], why=why)


@queue.command("list")
def list_queue(context: typer.Context) -> None:
    """Tell what is to be played."""
    _ask(context, "queue_list")


@queue.command("resume")
def resume_queue(context: typer.Context, why: Why = "") -> None:
    """Go on with a queue that the server found when it started."""
    _ask(context, "queue_resume", why=why)


@queue.command()
def clear(context: typer.Context, why: Why = "") -> None:
    """Forget what was to be played."""
    _ask(context, "queue_clear", why=why)
