"""``wetloop replay``: whether a recording gives the same decisions again, or what others would decide."""

from pathlib import Path
from typing import Annotated, Any

import typer


def replay(
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that replaying gives the same decisions; the default.")
    ] = False,
    other: Annotated[
        Path | None,
        typer.Option("--with", metavar="CONFIG", help="Decide by this configuration and compare."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")] = False,
) -> None:
    """Replay a recording: exit code 0 if every decision is the same again, 1 if not.

    With another configuration: what it would have decided on the recorded activity, which cannot react to it.
    """
    if verify and other:
        raise typer.BadParameter("--verify and --with are two questions: ask one at a time")
    if other:
        _print(_compared(file, other), "Other decisions", json=json, quiet=quiet)
        return
    report = _verified(file, quiet=quiet)
    title = "Replay agrees" if report["agrees"] else "Replay DIFFERS"
    _print(report, title, json=json, quiet=quiet)
    raise typer.Exit(0 if report["agrees"] else 1)


def _verified(file: Path, *, quiet: bool) -> dict[str, Any]:
    from wetloop.cli.progress import share_view
    from wetloop.replay import verify

    with share_view(quiet=quiet) as report:
        return verify(file, report).to_dict()


def _compared(file: Path, other: Path) -> dict[str, Any]:
    from wetloop.config import load_config
    from wetloop.replay import compare

    return compare(file, load_config(other)).to_dict()


def _print(report: dict[str, Any], title: str, *, json: bool, quiet: bool) -> None:
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.render import facts

    if json:
        echo_json(report)
    elif not quiet:
        listed = {name: report[name] for name in report if isinstance(report[name], list | tuple)}
        single = {name.replace("_", " "): value for name, value in report.items() if name not in listed}
        show(facts(title, single), *(line for lines in listed.values() for line in lines))
