"""``wetloop replay``: does a recording give the same decisions again, what would others decide, how did it look."""

from pathlib import Path
from typing import Annotated, Any

import typer

NOTE = "Engine, decoder and task have a state: what comes before the part was replayed, too, but not compared."
SHORT = (
    "Raw samples end before the recording: up to {:.1f} s spikes were detected in them again, from there on those in "
    "the file were taken."
)
RETOLD = "The task was a program elsewhere: its answers were taken from the file, everything else was computed again."
VERIFY = typer.Option("--verify", help="Check that replaying gives the same decisions; the default for a whole file.")
WITH = typer.Option("--with", metavar="CONFIG", help="Decide by this configuration and compare.")
RENDER = typer.Option(metavar="OUT", help="Make a film (.mp4, .gif) or a still (.png): the game beside its spikes.")
FROM = typer.Option("--from", metavar="S", help="Start of the part, or moment of the still, s.")
TO = typer.Option("--to", metavar="S", help="End of the part, s; makes a still a sheet of six.")
SPEED = typer.Option(min=0.01, max=1000, help="Rig time per time of the film or of the clock; 1 is real time.")
TRUST = typer.Option("--trust", help="Follow links out of the file, and import the modules that it names.")


def replay(  # noqa: PLR0913  (typer: one parameter per option)
    file: Annotated[Path, typer.Argument(help="Recording (NWB).")],
    *,
    verify: Annotated[bool, VERIFY] = False,
    other: Annotated[Path | None, WITH] = None,
    render: Annotated[Path | None, RENDER] = None,
    start_s: Annotated[float | None, FROM] = None,
    stop_s: Annotated[float | None, TO] = None,
    speed: Annotated[float | None, SPEED] = None,
    fps: Annotated[float, typer.Option(min=1, max=100, help="Pictures per second of the film.")] = 25.0,
    force: Annotated[bool, typer.Option("--force", help="Replace a film or still that exists.")] = False,
    trust: Annotated[bool, TRUST] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")] = False,
) -> None:
    """Replay a recording: exit code 0 if every decision is the same again, 1 if not.

    A part (--from, --to) is played in real time or at --speed, with a status line; with --verify it is compared.
    Engine, decoder and task have a state: whatever the part, replaying begins at the start of the recording.

    With another configuration: what it would have decided on the recorded activity, which cannot react to it. As a
    film: the recorded pictures of the game, or those of the task played again, beside the last seconds of spikes.
    """
    from wetloop.core import hdf5

    hdf5.forget_plugins()
    cut = {"start_s": start_s, "stop_s": stop_s}
    partial = any(value is not None for value in (*cut.values(), speed))
    _refuse_mixtures(partial=partial, force=force, verify=verify, other=bool(other), render=bool(render))
    if render:
        film = cut | {"speed": speed or 1.0, "fps": fps}
        title, found = "Film", _rendered(file, render, film, replace=force, trust=trust, quiet=quiet)
    elif other:
        title, found = "Other decisions", _compared(file, other, trust=trust)
    elif partial and not verify:
        title, found = "Played", _played(file, cut, speed or 1.0, trust=trust, quiet=quiet)
    else:
        found = _verified(file, cut, speed, trust=trust, quiet=quiet)
        title = "Replay agrees" if found["decisions"] else "Nothing to compare: there is no decision"
        title = title if found["agrees"] else "Replay DIFFERS"
    notes = [NOTE] if verify and partial else []
    notes += [] if found.get("task_rerun", True) else [RETOLD]
    if found.get("detection_rerun") and found["detected_to_s"] < found["to_s"]:
        notes.append(SHORT.format(found["detected_to_s"]))
    _print(found, title, notes, json=json, quiet=quiet)
    raise typer.Exit(0 if found.get("agrees", True) else 1)


def _refuse_mixtures(*, partial: bool, force: bool, verify: bool, other: bool, render: bool) -> None:
    if verify + other + render > 1:
        raise typer.BadParameter("--verify, --with and --render are different questions: ask one at a time")
    if force and not render:
        raise typer.BadParameter("--force belongs to --render OUT")
    if other and partial:
        raise typer.BadParameter("--with compares whole recordings: leave out --from, --to and --speed")


def _verified(file: Path, cut: dict[str, Any], speed: float | None, *, trust: bool, quiet: bool) -> dict[str, Any]:
    from wetloop.cli.progress import progress_view, share_view
    from wetloop.recording.comparison import Part
    from wetloop.replay import verify
    from wetloop.replay_show import Show

    if speed is None:
        with share_view(quiet=quiet) as share:
            return verify(file, share, part=Part(**cut), trusted=trust).to_dict()
    with progress_view(_length_s(file, cut, trust=trust), quiet=quiet) as report:
        return verify(file, part=Part(**cut), show=Show(speed, report), trusted=trust).to_dict()


def _played(file: Path, cut: dict[str, Any], speed: float, *, trust: bool, quiet: bool) -> dict[str, Any]:
    from wetloop.cli.progress import progress_view
    from wetloop.recording.comparison import Part
    from wetloop.replay import play
    from wetloop.replay_show import Show

    with progress_view(_length_s(file, cut, trust=trust), quiet=quiet) as report:
        return play(file, Part(**cut), Show(speed, report), trusted=trust).to_dict()


def _length_s(file: Path, cut: dict[str, Any], *, trust: bool) -> float:
    """Return how long the part is, about, s."""
    from wetloop.recording.reader import Recording

    with Recording(file, trusted=trust) as recording:
        first_s, last_s = (sample / recording.info.sampling_frequency for sample in recording.extent())
    start_s, stop_s = cut["start_s"], cut["stop_s"]
    return max(0.0, min(last_s, stop_s or last_s) - max(first_s, start_s or first_s))


def _rendered(file: Path, out: Path, cut: dict[str, Any], *, replace: bool, trust: bool, quiet: bool) -> dict[str, Any]:
    from wetloop.analysis.film import Cut, render
    from wetloop.cli.progress import share_view

    with share_view(quiet=quiet) as report:
        return render(file, out, Cut(**cut), replace=replace, trusted=trust, on_progress=report).to_dict()


def _compared(file: Path, other: Path, *, trust: bool) -> dict[str, Any]:
    from wetloop.config import load_config
    from wetloop.replay import compare

    return compare(file, load_config(other), trusted=trust).to_dict()


def _print(report: dict[str, Any], title: str, notes: list[str], *, json: bool, quiet: bool) -> None:
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.render import facts

    if json:
        echo_json(report)
    elif not quiet:
        listed = {name: report[name] for name in report if isinstance(report[name], list | tuple)}
        single = {name.replace("_", " "): value for name, value in report.items() if name not in listed}
        show(facts(title, single), *(line for lines in listed.values() for line in lines), *notes)
