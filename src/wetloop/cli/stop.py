"""``wetloop stop --now``: the emergency stop, without a server."""

import getpass
import math
from typing import Annotated

import typer


def stop(
    session: Annotated[
        str | None, typer.Argument(help="Name of a session (wetloop view --list); by default all.")
    ] = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Meant: silence first, at once.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Silence every real-time session of this user on this machine, and have it end with a complete file.

    Exit code 0: all are silent, or there were none; 3: a rig has not confirmed its silence, or no session has the name.
    """
    from wetloop.cli.output import echo_json
    from wetloop.core.errors import ConfigError, RigError
    from wetloop.engine.emergency import stop_sessions

    if not now:
        raise ConfigError("wetloop stop is the emergency stop: say --now; wetloop ctl stop ends a server's session")
    reached = stop_sessions([session] if session else [], f"{getpass.getuser()}: wetloop stop --now")
    if json:
        echo_json({"stopped": reached})
    else:
        typer.echo("\n".join(_told(name, silent_s) for name, silent_s in reached.items()) or "no session is running")
    doubtful = [name for name, silent_s in reached.items() if math.isinf(silent_s)]
    if doubtful:
        raise RigError(
            f"{', '.join(doubtful)}: nothing is forwarded any more, but the rig has not confirmed its silence: "
            "switch off the stimulator"
        )


def _told(name: str, silent_s: float) -> str:
    if math.isinf(silent_s):
        return f"{name}: stopped, but the rig has not confirmed its silence"
    return f"{name}: the rig is silent, after {silent_s * 1000:.1f} ms"
