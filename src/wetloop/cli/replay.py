"""``wetloop replay``: does a recording give the same decisions again, what would others decide, how did it look."""

from pathlib import Path
from typing import Annotated, Any

import typer


def replay(  # noqa: PLR0913  (typer: one parameter per option)
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that replaying gives the same decisions; the default.")
    ] = False,
    other: Annotated[
        Path | None,
        typer.Option("--with", metavar="CONFIG", help="Decide by this configuration and compare."),
    ] = None,
    render: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Make a film (.mp4, .gif) or a still (.png): the game beside its spikes."),
    ] = None,
    start_s: Annotated[
        float | None, typer.Option("--from", metavar="S", help="Start of the film, or moment of the still, s.")
    ] = None,
    stop_s: Annotated[
        float | None, typer.Option("--to", metavar="S", help="End of the film, s; makes a still a sheet of six.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=1000, help="Rig time per time of the film.")] = 1.0,
    fps: Annotated[float, typer.Option(min=1, max=100, help="Pictures per second of the film.")] = 25.0,
    force: Annotated[bool, typer.Option("--force", help="Replace a film or still that exists.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")] = False,
) -> None:
    """Replay a recording: exit code 0 if every decision is the same again, 1 if not.

    With another configuration: what it would have decided on the recorded activity, which cannot react to it. As a
    film: the recorded pictures of the game, or those of the task played again, beside the last seconds of spikes.
    """
    if sum(map(bool, (verify, other, render))) > 1:
        raise typer.BadParameter("--verify, --with and --render are different questions: ask one at a time")
    if not render and (force or start_s is not None or stop_s is not None):
        raise typer.BadParameter("--from, --to and --force belong to --render OUT")
    if render:
        cut = {"start_s": start_s, "stop_s": stop_s, "speed": speed, "fps": fps}
        _print(_rendered(file, render, cut, replace=force, quiet=quiet), "Film", json=json, quiet=quiet)
        return
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


def _rendered(file: Path, out: Path, cut: dict[str, Any], *, replace: bool, quiet: bool) -> dict[str, Any]:
    from wetloop.analysis.film import Cut, render
    from wetloop.cli.progress import share_view

    with share_view(quiet=quiet) as report:
        return render(file, out, Cut(**cut), replace=replace, on_progress=report).to_dict()


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
