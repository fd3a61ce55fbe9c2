"""``wetloop stop --now``: the emergency stop, without a server."""

import getpass
import math
from typing import Annotated, Any

import typer


def stop(
    session: Annotated[str | None, typer.Argument(help="Name of a session's shared memory; by default all.")] = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Meant: silence first, at once.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Silence every real-time session of this user on this machine, and have it end with a complete file.

    Exit code 0: all are silent, or there were none; 3: a rig has not confirmed its silence.
    """
    from wetloop.cli.output import echo_json
    from wetloop.core.errors import ConfigError, RigError

    if not now:
        raise ConfigError("wetloop stop is the emergency stop: say --now; wetloop ctl stop ends a server's session")
    stopped = dict(_stopped([session] if session else _sessions()))
    if json:
        echo_json({"stopped": stopped})
    for name, silent_s in stopped.items() if not json else ():
        if math.isfinite(silent_s):
            typer.echo(f"{name}: the rig is silent")
    doubtful = [name for name, silent_s in stopped.items() if math.isinf(silent_s)]
    if doubtful:
        raise RigError(
            f"{', '.join(doubtful)}: nothing is forwarded any more, but the rig has not confirmed its silence: "
            "switch off the stimulator"
        )


def _sessions() -> list[str]:
    from wetloop.engine.arena import segments

    return [segment.name for segment in segments() if not segment.stale]


def _stopped(names: list[str]) -> Any:
    from contextlib import suppress

    from wetloop.core.errors import RigError
    from wetloop.engine.emergency import stop_now

    for name in names:
        with suppress(*([RigError] if len(names) > 1 else [])):
            yield name, stop_now(name, f"{getpass.getuser()}: wetloop stop --now")
