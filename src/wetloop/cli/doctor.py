"""``wetloop doctor``: is this computer, this folder and this rig fit for a session, and if not, what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from wetloop.cli.doctor_checks import Check

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
NAME_WIDTH = 20
INDENT = " " * (NAME_WIDTH + 6)


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="Configuration of the session to be run; by default the built-in one.")
    ] = None,
    *,
    rig: Annotated[
        bool, typer.Option("--rig", help="Check only the rig of this configuration, over its own wires.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    seconds: Annotated[
        float, typer.Option(min=0.01, max=3600, help="How long to watch the timer, the disk or the rig's packets, s.")
    ] = 10.0,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of recordings; by default that of the configuration.")
    ] = None,
) -> None:
    """Check real time, disk, compiled code, leftovers, rig and guard: exit code 1 if anything fails.

    Warnings do not fail: such a session runs, but less punctually or for less long.

    Nothing is stimulated; --rig loads the session's patterns, and measures packets, clock and round trip. The recording
    folder is made where there is none, as a session would.
    """
    from wetloop.cli.doctor_rig import examine_rig
    from wetloop.cli.doctor_session import examine
    from wetloop.cli.output import echo_json, show
    from wetloop.config import load_config, parse_config

    settings = load_config(config) if config else parse_config("", "defaults")
    typer.echo(f"checking for about {seconds:g} s, 20 s more where kernels have to be compiled", err=True)
    checks: list[Check] = []
    place = folder or Path(settings.recording.folder).expanduser()
    for check in examine_rig(settings, seconds) if rig else examine(settings, place, seconds):
        checks.append(check)
        if not json:
            show(_view(check))
    failed = any(check.level == "fail" for check in checks)
    if json:
        echo_json({"passed": not failed, "counts": _counts(checks), "checks": [check.to_dict() for check in checks]})
    else:
        show(", ".join(f"{n} {level}" for level, n in _counts(checks).items()))
    raise typer.Exit(1 if failed else 0)


def _counts(checks: "list[Check]") -> dict[str, int]:
    return {level: sum(check.level == level for check in checks) for level in STYLES}


def _view(check: "Check") -> "Text":
    from rich.text import Text

    text = Text(f"{check.level:4}  ", STYLES[check.level]).append(f"{check.name:{NAME_WIDTH}}", "bold")
    text.append(check.value.replace("\n", f"\n{INDENT}"), "default")
    if check.spread is not None:
        for row in check.spread.rows():
            text.append(f"\n{INDENT}{row}", "dim")
    if check.remedy:
        text.append(f"\n{INDENT}-> {check.remedy}", "yellow")
    return text
